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
from .version import Version

app = typer.Typer(
    name="roadscene",
    help="Street scene segmentation in another city or camera, without target labels.\n\n"
    "Exit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 done except for some "
    "images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.command(load_roadscene, "runs/roadscene-demo"),
    "inspect": inspect.roadscene,
    "translate": translate.command(load_roadscene, has_annotations=False),
    "train": train.command(load_roadscene),
    "evaluate": evaluate.roadscene,
    "predict": predict.roadscene,
    "compare": compare.command(load_roadscene),
    "draw": draw.command(load_roadscene),
    "reproduce": reproduce.command(load_roadscene, "table3, table4 or table5"),
    "configs": configs.command("roadscene"),
}
for name, command in COMMANDS.items():
    app.command(name=name)(command)


@app.callback()
def _options(version: Version = False) -> None:
    pass


def run() -> None:
    """Run the command line."""
    run_app(app)
