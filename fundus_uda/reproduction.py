"""The paper's tables at one's own scale: all runs of a table, one after the other or resumed."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from fundus_uda.comparison import gap_closed
from fundus_uda.engine.checkpoint import changed_settings
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.metrics import DICE
from fundus_uda.settings import FundusSettings, Profile, in_profile, read_settings
from fundus_uda.training import train
from fundus_uda.translated_source import write_translated_source
from fundus_uda.translation.settings import read_settings as read_translation_settings

Dice = tuple[float, float, float]
"""Cup, disc and their mean."""


@dataclass(frozen=True)
class Row:
    """One row of a table, and the run behind it."""

    title: str
    config: str
    """Name of the shipped settings, without the profile's ending."""
    overrides: tuple[str, ...] = ()
    start: str | None = None
    """The row whose network the run starts from."""
    updates_on_cpu: int | None = None
    """Of the CPU profile; None for as many as its settings say."""
    translated: bool = False
    """The source images are first brought into the target's style by CyCADA."""
    seeds: int | None = 1
    """How many; None for as many as asked for."""
    paper: Dice | float | None = None
    """What the paper has: Dice on REFUGE to RIM-ONE-r3 (Table VII), or mIoU in per cent on GTA5 to
    Cityscapes (Tables III to V)."""


def _adapted(title: str, config: str, overrides: tuple[str, ...] = (), **more: Any) -> Row:
    """A row that goes on from the source-only network, as the authors' released code does."""
    return Row(title, config, overrides, **{"start": "source", "updates_on_cpu": 100, **more})


SOURCE = Row("Source only", "source", seeds=None, paper=(0.751, 0.793, 0.772))
ORACLE = Row("Oracle", "oracle", seeds=None, paper=(0.856, 0.968, 0.914))
# The paper takes a tenth of its weight after translation, since less is left to align.
ASA_IT = _adapted("ASA + IT", "asa_it", translated=True)
ASA_ST = _adapted("ASA + ST", "self_training", start="asa")
ASA_IT_ST = _adapted("ASA + IT + ST", "self_training", start="asa_it")

TABLES: dict[str, dict[str, Row]] = {
    "table7": {
        "source": SOURCE,
        "source_longer": _adapted("Source only, as many updates as adapted", "source"),
        "adaptsegnet": _adapted("AdaptSegNet", "adaptsegnet", paper=(0.775, 0.893, 0.834)),
        "advent": _adapted("ADVENT", "advent"),
        "asc": _adapted("ASC", "asc"),
        "asa": _adapted("ASA", "asa", seeds=None, paper=(0.806, 0.900, 0.853)),
        "asa_st": ASA_ST,
        "asa_it": ASA_IT,
        "asa_it_st": ASA_IT_ST,
        "recipe_source": Row("Default recipe, first stage", "strong_source", seeds=None),
        "recipe": Row("Default recipe", "mean_teacher", start="recipe_source", seeds=None),
        "oracle": ORACLE,
    },
    "table3": {
        "source": replace(SOURCE, seeds=1, paper=38.1),
        "asa": _adapted("ASA", "asa", paper=45.1),
        "asa_it": replace(ASA_IT, paper=45.6),
        "asa_st": replace(ASA_ST, paper=48.1),
        "asa_it_st": replace(ASA_IT_ST, paper=49.1),
        "oracle": replace(ORACLE, seeds=1, paper=None),
    },
    "table4": {
        "source": replace(SOURCE, seeds=1, paper=38.1),
    }
    | {
        f"{method}_{weight}": _adapted(
            f"{method.upper()}, lambda = {weight}",
            method,
            (f"adaptation.{term}={weight}",),
            paper=paper,
        )
        for method, term, papers in (
            ("asc", "regulariser_weight", (43.1, 43.5, 43.8, 43.6, 43.7)),
            ("asa", "adversarial_weight", (44.9, 45.0, 45.1, 44.7, 44.6)),
        )
        for weight, paper in zip(
            ("0.0002", "0.0005", "0.001", "0.002", "0.004"), papers, strict=True
        )
    },
    "table5": {
        "source": replace(SOURCE, seeds=1, paper=38.1),
        "adaptsegnet": _adapted("AdaptSegNet", "adaptsegnet", paper=41.4),
    }
    | {
        f"{method}_{neighbors}": _adapted(
            f"{method.upper()}, {neighbors} neighbours",
            method,
            (f"affinity.neighbors={neighbors}",),
            paper=paper,
        )
        for method, papers in (("asc", (42.6, 43.8)), ("asa", (43.6, 45.1)))
        for neighbors, paper in zip((4, 8), papers, strict=True)
    },
}
"""By the number of the paper's table. Tables III to V are its road scenes; here, the fundus."""


def reproduce(
    table: str,
    out: Path,
    device: torch.device,
    seeds: int = 3,
    profile: Profile = "cpu",
    overrides: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Train what is missing of a table, and write it beside the paper's values.

    Runs are in `out/ROW-seedN`; a finished one is left alone, an interrupted one resumed, so that
    the command can be stopped and started at will. `out/TABLE.csv` and `out/TABLE.md` are written
    anew after each run.

    Args:
        table: a key of `TABLES`.
        out: the folder.
        device: where to train.
        seeds: of the rows with several: 0, 1, …
        profile: "cpu", or "paper" for the paper's own settings.
        overrides: `key=value` for the settings of all runs, such as data.target.
        say: told of each run before it starts.
        only: the rows to train, with those that they start from; all where none is named.

    Returns:
        The table (see `collect`).

    Raises:
        InputError: an unknown table or row, wrong settings or data, or a run of other settings in
            `out`.
    """
    if table not in TABLES:
        raise InputError(f"Expected one of {', '.join(TABLES)}. Got: {table!r}.")
    rows = _with_starts(TABLES[table], only) if only else TABLES[table]
    for seed in range(seeds):
        for name, row in rows.items():
            if seed < (row.seeds or seeds):
                say(f"{row.title}, seed {seed}")
                _complete(name, row, seed, out, device, profile, overrides)
                written = collect(table, out)
                written.to_csv(out / f"{table}.csv", index=False)
                text = as_markdown(table, written)
                (out / f"{table}.md").write_text(text, encoding="utf-8")
    return written


def _with_starts(rows: dict[str, Row], only: tuple[str, ...]) -> dict[str, Row]:
    """The named rows and those they need, in the table's order."""
    if unknown := [name for name in only if name not in rows]:
        raise InputError(f"Expected rows of {', '.join(rows)}. Got: {', '.join(unknown)}.")
    needed = set(only)
    for name, row in reversed(rows.items()):  # a row stands below those it needs
        if name in needed:
            needed |= {row.start} if row.start else set()
            needed |= {"source"} if row.translated else set()
    return {name: row for name, row in rows.items() if name in needed}


def collect(table: str, out: Path) -> pd.DataFrame:
    """What the finished runs of a table scored with their last checkpoint.

    Returns:
        A row per run: row, title, seed, dice_cup, dice_disc, dice_mean, gap_closed = (run -
        source only) / (oracle - source only) in dice_mean of the same seed, NaN without those, and
        seconds, what the run took without those it starts from, NaN for one that was resumed.
    """
    found = []
    for name, row in TABLES[table].items():
        for run in sorted(out.glob(f"{name}-seed*")):
            file = run / "evaluation" / "last" / "summary.json"
            if file.is_file():
                summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                took = run / "seconds.json"
                found.append(
                    {
                        "row": name,
                        "title": row.title,
                        "seed": summary["seed"],
                        **{key: summary[key]["mean"] for key in DICE},
                        "seconds": json.loads(took.read_text()) if took.is_file() else math.nan,
                    }
                )
    written = pd.DataFrame(found)
    mean = written.set_index(["row", "seed"])["dice_mean"]

    written["gap_closed"] = [
        gap_closed(dice, *(mean.get((end, seed), math.nan) for end in ("source", "oracle")))
        for dice, seed in zip(written["dice_mean"], written["seed"], strict=True)
    ]
    return written


def as_markdown(table: str, written: pd.DataFrame) -> str:
    """A row per method: mean over the seeds, and their standard deviation where there are some.

    The gap closed is the mean of each seed's.
    """
    lines = [
        "| Method | Seeds | Dice cup | Dice disc | Mean | Gap closed | Paper |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in TABLES[table].items():
        runs = written[written["row"] == name]
        if len(runs):
            dice = " | ".join(_mean_and_spread(runs[key], "{:.3f}") for key in DICE)
            gap = _mean_and_spread(100 * runs["gap_closed"], "{:.0f}", " %")
            paper = _of_paper(row.paper)
            lines.append(f"| {row.title} | {len(runs)} | {dice} | {gap} | {paper} |")
    return "\n".join(lines) + "\n"


def _of_paper(value: Dice | float | None) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{dice:.3f}" for dice in value)
    return "" if value is None else f"{value:.1f} % mIoU (GTA5)"


def _mean_and_spread(values: "pd.Series[float]", form: str, unit: str = "") -> str:
    if values.isna().any():
        return ""
    spread = f" ± {form.format(values.std())}" if len(values) > 1 else ""
    return form.format(values.mean()) + spread + unit


def _complete(
    name: str,
    row: Row,
    seed: int,
    out: Path,
    device: torch.device,
    profile: Profile,
    overrides: tuple[str, ...],
) -> None:
    run = out / f"{name}-seed{seed}"
    given = [*overrides, *row.overrides, f"seed={seed}"]
    if profile == "cpu" and row.updates_on_cpu is not None:
        given.insert(0, f"steps={row.updates_on_cpu}")
    if row.start is not None:
        given.append(f"start={out / f'{row.start}-seed{seed}'}")
    config = in_profile(f"fundus/{row.config}", profile)
    settings = read_settings(config, given)
    if row.translated:
        address = _translated_source(settings, out, seed, device, profile)
        settings = read_settings(config, [*given, f"data.source={address}"])
    if settings.data.test is None:
        raise InputError("Expected data.test, on which the table is scored. Got: none.")
    _require_same_settings(run, settings)
    if (run / "evaluation" / "last" / "summary.json").is_file():
        return
    started, begun = time.monotonic(), RunFolder(run).last.is_file()
    train(settings, run, device, continue_run=begun)
    if not begun:
        (run / "seconds.json").write_text(json.dumps(round(time.monotonic() - started, 1)))


def _translated_source(
    settings: FundusSettings, out: Path, seed: int, device: torch.device, profile: Profile
) -> str:
    folder = out / f"translated-seed{seed}"
    assert settings.data.source is not None
    assert settings.data.target is not None
    translation = read_translation_settings(
        "cycada",
        settings.data.source,
        settings.data.target,
        str(out / f"source-seed{seed}"),
        in_profile("translation/cycada", profile),
        [f"seed={seed}"],
    )
    finished = folder / "finished"
    if not finished.is_file():
        write_translated_source(
            translation,
            settings.data.source_annotation,
            folder,
            device,
            continue_run=RunFolder(folder).last.is_file(),
        )
        finished.touch()
    return f"folder:{folder}"


def _require_same_settings(run: Path, settings: FundusSettings) -> None:
    """A finished run is taken as it is, so it must be the one that is asked for."""
    file = run / "config.yaml"
    if file.is_file():
        theirs = yaml.safe_load(file.read_text(encoding="utf-8"))
        if lines := changed_settings(settings, theirs):
            raise InputError(
                f"Expected the run in {run} to have these settings. Got:\n  "
                + "\n  ".join(lines)
                + "\nChoose another --out, or remove that run."
            )
