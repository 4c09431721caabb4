"""The command `roadscene`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.failures import run_app
from cli.options import (
    Affinity,
    Device,
    OutFolder,
    Profile,
    Rows,
    TableFolder,
    TableOverrides,
    TableRows,
    TranslationConfig,
    TranslationMethod,
    TranslationModel,
    TranslationOverrides,
)
from cli.reproduce import reproduce_table
from fundus_uda.engine.errors import InputError

if TYPE_CHECKING:
    from roadscene.settings import RoadSettings

Address = Annotated[
    str,
    typer.Argument(
        metavar="KIND:PATH[#SPLIT]", help="KIND is gta5, synthia, cityscapes or cross-city."
    ),
]
Model = Annotated[
    Path, typer.Argument(help="A run folder (its last checkpoint) or a checkpoint file.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example steps=500.")
]
Published = Annotated[
    str | None,
    typer.Option(
        "--published",
        metavar="CONFIG",
        help="MODEL is another project's checkpoint: read it with these settings.",
    ),
]
PublishedOverrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Of --published: preset=released, …"),
]

app = typer.Typer(
    name="roadscene",
    help="Street scene segmentation in another city or camera, without target labels.\n\n"
    "Exit codes: 0 done, 1 the work failed, 2 wrong usage or input.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(out: OutFolder = Path("runs/roadscene-demo"), device: Device = "auto") -> None:
    """Embedded streets in two styles: train source-only, ASC and ASA, and score all.

    Needs no data and no download; a few minutes on a small CPU.
    """
    from fundus_uda.engine.device import pick_device
    from roadscene.comparison import as_markdown
    from roadscene.demo import run_demo

    table = run_demo(out, pick_device(device))
    typer.echo(as_markdown(table))
    typer.echo(f"Colour pictures are in {out / 'predictions'}, all else in {out}.")


@app.command()
def inspect(address: Address) -> None:
    """What is in a dataset and what is wrong with it, before any training.

    Reads every image and label once. Ends with exit code 2 if there are problems, and lists all.
    """
    from roadscene.inspection import inspect

    found = inspect(address)
    typer.echo(f"{found.images} images, {found.labelled} with a readable label")
    for size, count in found.sizes.most_common(8):
        typer.echo(f"  {size} pixels: {count}")
    for name, share in found.class_shares.items():
        typer.echo(f"  {name}: {100 * share:.2f} % of the labelled pixels")
    if found.labelled:
        typer.echo(f"  no class: {100 * found.ignored_share:.2f} % of all pixels")
    if found.problems:
        typer.secho(f"{len(found.problems)} problem(s):", err=True, fg="red")
        for problem in found.problems:
            typer.echo(f"  {problem}", err=True)
        raise typer.Exit(2)
    typer.echo("No problem found.")


@app.command()
def translate(
    method: TranslationMethod,
    overrides: TranslationOverrides = None,
    source: str = typer.Option(..., metavar="KIND:PATH[#SPLIT]", help="Labelled images."),
    target: str = typer.Option(..., metavar="KIND:PATH[#SPLIT]", help="Whose style they take."),
    out: Path = typer.Option(..., help="Folder: new, or with --resume that of the run."),
    model: TranslationModel = None,
    config: TranslationConfig = None,
    resume: bool = typer.Option(False, "--resume", help="Continue the training of cycada."),
    device: Device = "auto",
) -> None:
    """Source images in the target's style, with their own labels, in the layout of their dataset.

    METHOD is fourier or histogram, which need no training, or cycada. Labels of the target are
    never read.
    """
    from fundus_uda.engine.device import pick_device
    from fundus_uda.translation.settings import read_settings
    from roadscene.translated_source import write_translated_source

    settings = read_settings(method, source, target, model, config, overrides or [])
    address = write_translated_source(settings, out, pick_device(device), resume)
    typer.echo(f"Wrote {out}. Train with data.source={address}.")


@app.command()
def train(
    config: str = typer.Argument(help="A YAML file, or a name that `configs` lists."),
    overrides: Overrides = None,
    out: Path = typer.Option(..., help="Run folder: new, or with --resume that of the run."),
    resume: bool = typer.Option(False, "--resume", help="Continue from the last checkpoint."),
    device: Device = "auto",
) -> None:
    """Train one method into a run folder, then score it if data.test is set.

    An interrupted and resumed run equals an unbroken one bit for bit.
    """
    from fundus_uda.engine.device import pick_device
    from roadscene.comparison import as_markdown, compare
    from roadscene.settings import read_settings
    from roadscene.training import train

    settings = read_settings(config, overrides or [])
    if train(settings, out, pick_device(device), continue_run=resume):
        typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote {out}.")


@app.command()
def evaluate(
    model: Model,
    address: Address,
    out: OutFolder = Path("evaluation"),
    published: Published = None,
    overrides: PublishedOverrides = None,
    device: Device = "auto",
) -> None:
    """IoU per class (iou.csv), its means (summary.json), pictures, and label ids to submit.

    The folder `export` holds what Cityscapes' own evaluator reads.
    """
    from fundus_uda.engine.device import pick_device
    from roadscene.comparison import as_markdown, compare
    from roadscene.evaluation import evaluate_model

    settings = _published_settings(published, overrides)
    if report := evaluate_model(model, address, out, pick_device(device), settings):
        typer.echo(report)
    typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote iou.csv, summary.json, colour and export to {out}.")


@app.command()
def predict(
    model: Model,
    paths: list[Path] = typer.Argument(help="Images, or folders of images."),
    out: OutFolder = Path("predictions"),
    published: Published = None,
    overrides: PublishedOverrides = None,
    device: Device = "auto",
) -> None:
    """Label ids of Cityscapes and colour pictures, at each image's own size."""
    from fundus_uda.engine.device import pick_device
    from roadscene.model import load_model
    from roadscene.prediction import predict

    where = pick_device(device)
    loaded = load_model(model, where, _published_settings(published, overrides))
    if loaded.report is not None:
        typer.echo(str(loaded.report))
    count = predict(loaded.network, loaded.settings, paths, out, where)
    typer.echo(f"Wrote label_ids and colour of {count} images to {out}.")


@app.command()
def compare(
    runs: list[Path] = typer.Argument(help="Run folders, or folders that `evaluate` wrote."),
    out: Path | None = typer.Option(None, help="Also write the table to a .csv or .md file."),
) -> None:
    """Runs side by side as the paper's Tables I, II and VI: IoU per class, and its means."""
    from fundus_uda.side_by_side import write_comparison
    from roadscene.comparison import as_markdown, compare

    table = compare(runs)
    markdown = as_markdown(table)
    if out is not None:
        write_comparison(table, markdown, out)
    typer.echo(markdown)


@app.command()
def draw(
    address: Address,
    models: list[Path] = typer.Argument(help="Run folders or checkpoints, side by side."),
    out: Path = typer.Option(Path("results.png"), help="PNG to write."),
    rows: Rows = 4,
    affinity: Affinity = "all",
    device: Device = "auto",
) -> None:
    """A picture: target, ground truth, then prediction and affinity map of each model."""
    from fundus_uda.engine.device import pick_device
    from roadscene.figures import draw_results

    draw_results(address, models, out, pick_device(device), rows, affinity)
    typer.echo(f"Wrote {out}.")


@app.command()
def reproduce(
    table: Annotated[Literal["table3", "table4", "table5"], typer.Argument(help="Of the paper.")],
    overrides: TableOverrides = None,
    out: TableFolder = Path("reproduction"),
    row: TableRows = None,
    profile: Profile = "cpu",
    device: Device = "auto",
) -> None:
    """Train what is missing of a table of the paper, and write it beside the paper's values.

    The CPU profile is roadscene/cpu (CamVid by day to dusk), the paper's GTA5 to Cityscapes. Stop
    it and start it again at will: finished runs are left alone, an interrupted one resumes.
    """
    from roadscene.application import ROADSCENE

    reproduce_table(ROADSCENE, table, overrides, out, 1, row, profile, device)


@app.command()
def configs() -> None:
    """List the shipped settings, by the names that `train` takes."""
    from fundus_uda.engine.config import shipped_configs

    for name in shipped_configs("roadscene"):
        typer.echo(name)


def _published_settings(config: str | None, overrides: list[str] | None) -> "RoadSettings | None":
    from roadscene.settings import read_settings

    if config is None and overrides:
        raise InputError(
            f"Expected --published CONFIG with --set. Got: --set {overrides[0]} alone; a run of "
            f"this program has its own settings."
        )
    return read_settings(config, overrides or []) if config else None


def run() -> None:
    """Entry point."""
    run_app(app)
