"""The command `roadscene`."""

from collections.abc import Callable

import typer

from . import (
    compare,
    configs,
    demo,
    draw,
    evaluate,
    inspect,
    predict,
    reproduce,
    train,
    translate,
)
from .applications import load_roadscene
from .failures import run_app
from .register import register
from .version import Version

app = typer.Typer(
    name="roadscene",
    help="Street scene segmentation in another city or camera, without target labels.\n\n"
    "Exit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 done except for some "
    "images, 128 + N stopped by signal N (15 is SIGTERM).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "demo": (demo.command(load_roadscene, "runs/roadscene-demo"), "--out demo"),
    "inspect": (inspect.roadscene, "cityscapes:data/cityscapes#val"),
    "translate": (
        translate.command(load_roadscene, has_annotations=False),
        "fourier --source gta5:data/gta5 \\\n"
        "  --target cityscapes:data/cityscapes#train --out translated",
    ),
    "train": (train.command(load_roadscene, "roadscene"), "gta5/resnet101_asa --out runs/asa"),
    "evaluate": (evaluate.roadscene, "runs/asa cityscapes:data/cityscapes#val"),
    "predict": (predict.roadscene, "runs/asa streets --out predictions"),
    "compare": (compare.command(load_roadscene), "runs/source runs/asa --out table.md"),
    "draw": (draw.command(load_roadscene), "cityscapes:data/cityscapes#val runs/asa"),
    "reproduce": (
        reproduce.command(
            load_roadscene,
            "table1, table3a, table4 or table5; with --profile paper also table2, 3b, 6",
        ),
        "table3a --dry-run",
    ),
    "configs": (configs.command(load_roadscene, "roadscene"), "gta5/resnet101_asa"),
}
register(app, COMMANDS)


@app.callback()
def _options(version: Version = False) -> None:
    pass


def run() -> None:
    """Run the command line."""
    run_app(app)
