"""The command `fundus-uda`."""

from collections.abc import Callable

import typer

from . import (
    adapt,
    compare,
    configs,
    crop,
    demo,
    draw,
    evaluate,
    inspect,
    measure,
    predict,
    report,
    reproduce,
    train,
    translate,
)
from .applications import load_fundus
from .failures import run_app
from .version import Version

app = typer.Typer(
    name="fundus-uda",
    help="Optic disc and cup segmentation on another camera's photographs, without target "
    "labels.\n\nExit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 done except for "
    "some images.\n\n"
    "For research. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.command(load_fundus, "demo"),
    "adapt": adapt.command,
    "inspect": inspect.fundus,
    "crop": crop.command,
    "translate": translate.command(load_fundus, has_annotations=True),
    "train": train.command(load_fundus),
    "evaluate": evaluate.fundus,
    "predict": predict.fundus,
    "report": report.command,
    "measure": measure.command,
    "compare": compare.command(load_fundus),
    "draw": draw.command(load_fundus),
    "reproduce": reproduce.command(
        load_fundus, "table7, or table3, table4 or table5 (road scenes in the paper)"
    ),
    "configs": configs.command("fundus"),
}
for name, command in COMMANDS.items():
    app.command(name=name)(command)


@app.callback()
def _options(version: Version = False) -> None:
    pass


def run() -> None:
    """Run the command line."""
    run_app(app)
