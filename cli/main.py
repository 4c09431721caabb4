"""The command `fundus-uda`."""

from collections.abc import Callable

import typer

from . import (
    adapt,
    columns,
    compare,
    configs,
    crop,
    demo,
    dicom,
    doctor,
    draw,
    evaluate,
    export,
    inspect,
    measure,
    merge,
    outlines,
    predict,
    render,
    report,
    reproduce,
    suggest,
    train,
    translate,
)
from .applications import load_fundus
from .failures import run_app
from .register import register
from .version import Version

app = typer.Typer(
    name="fundus-uda",
    help="Optic disc and cup segmentation on another camera's photographs, without target "
    "labels.\n\nExit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 done except for "
    "some images, 128 + N stopped by signal N (15 is SIGTERM).\n\n"
    "For research. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "demo": (demo.command(load_fundus, "demo"), "--out demo"),
    "adapt": (
        adapt.command,
        "--source refuge:data/refuge#train \\\n  --target clinic/photographs --out adapted",
    ),
    "inspect": (inspect.fundus, "refuge:data/refuge#train"),
    "render": (render.command, "--out eyes --count 1000 --size 256 --ratio 0.3:0.9"),
    "crop": (crop.command, "clinic/photographs --out crops"),
    "translate": (
        translate.command(load_fundus, has_annotations=True),
        "fourier --source refuge:data/refuge#train \\\n  --target folder:clinic --out translated",
    ),
    "train": (
        train.command(load_fundus, "fundus"),
        "asa --out runs/asa \\\n  data.source=refuge:data/refuge#train \\\n"
        "  data.target=folder:clinic data.test=null",
    ),
    "evaluate": (evaluate.fundus, "runs/asa drishti-gs:data/drishti_gs#test \\\n  --out scores"),
    "predict": (predict.fundus, "adapted clinic/photographs \\\n  --out predictions"),
    "suggest": (suggest.command, "adapted --count 10 --out to_outline"),
    "dicom": (dicom.command, "predictions clinic/photographs --out segmentations"),
    "outlines": (outlines.command, "predictions clinic/photographs --format coco --out coco"),
    "export": (export.command, "adapted --format onnx --out model.onnx"),
    "merge": (merge.command, "parts/1 parts/2 --out predictions"),
    "report": (report.command, "predictions --reference folder:clinic"),
    "measure": (measure.command, "clinic/masks --out measurements.csv"),
    "compare": (compare.command(load_fundus), "runs/source runs/asa --out table.md"),
    "draw": (draw.command(load_fundus), "folder:clinic runs/source runs/asa"),
    "reproduce": (
        reproduce.command(
            load_fundus, "table7, or table3, table4 or table5 (road scenes in the paper)"
        ),
        "table7 --dry-run",
    ),
    "configs": (configs.command(load_fundus, "fundus"), "cpu/asa"),
    "columns": (columns.command, "--json"),
    "doctor": (doctor.command, "--out runs"),
}
register(app, COMMANDS)


@app.callback()
def _options(version: Version = False) -> None:
    pass


def run() -> None:
    """Run the command line."""
    run_app(app)
