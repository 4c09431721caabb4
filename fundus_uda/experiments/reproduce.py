"""Reproduction of the paper's tables at one's own scale: all runs of a table, one after another."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fundus_uda.config.read import Profile, override
from fundus_uda.engine.checkpoint import has_same_addresses, require_same_settings
from fundus_uda.engine.fingerprint import fingerprint
from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError, RunError, WriteError
from fundus_uda.experiments.cost import further_steps
from fundus_uda.experiments.results import as_markdown, collect, plot
from fundus_uda.experiments.tables import Application, BestOf, Quoted, Row, Table
from fundus_uda.files import read_json, write_table, write_whole
from fundus_uda.output import ESTIMATED_AFTER, note, part
from fundus_uda.translation.settings import read_settings as read_translation_settings


def reproduce(
    application: Application,
    table: str,
    out: Path,
    device: torch.device,
    seeds: int = 3,
    profile: Profile = "cpu",
    overrides: tuple[str, ...] = (),
    say: Callable[[str], None] = note,
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Train the missing runs of a table, and write it beside the paper's values.

    Runs are in `out/ROW-seedN`. Finished runs are left alone and interrupted ones resumed, so the
    command can be stopped and started at will. `out/TABLE.csv`, `.md` and `.png` are rewritten
    after each run.

    Args:
        application: application that has the table.
        table: name of the table.
        out: folder of the runs.
        device: device to train on.
        seeds: number of seeds, 0, 1, …, of the rows with several.
        profile: "cpu", or "paper" for the paper's own settings.
        overrides: `key=value` for the settings of all runs, such as data.target.
        say: called with each run before it starts.
        only: names of rows to train, with those that they start from; empty for all.

    Returns:
        The table (see `collect`).

    Raises:
        InputError: an unknown table or row, wrong settings or data, or a run of other settings in
            `out`.
        RunError: rows that failed, raised at the end.
    """
    rows = rows_of(application, table, profile, overrides, only)
    runs = _runs(rows, seeds)
    further = _further(application, runs, out, overrides)
    failures = []
    failed: dict[int, set[str]] = {seed: set() for seed in range(seeds)}
    for number, (seed, name, row) in enumerate(runs, start=1):
        if failed[seed] & needed_by(application, row, overrides):
            failed[seed].add(name)  # it has nothing to go on from
            continue
        say(f"Run {number} of {len(runs)}: {row.title}, seed {seed}")
        run = out / f"{name}-seed{seed}"
        try:
            with part(f"run {number} of {len(runs)}", further.get((seed, name), 0.0)):
                _make(application, row, seed, run, profile, overrides, device, failed[seed])
        except WriteError:  # the other rows could not be written, either
            raise
        except RunError as error:
            failed[seed].add(name)
            failures.append(f"{row.title}, seed {seed}: {error}")
        written = collect(application, rows, out)
        _write(application, table, rows, written, out)
    if failures:
        raise RunError(
            f"All but {len(failures)} rows, and those that go on from them, are in "
            f"{out / table}.md. " + "\n".join(failures)
        )
    return written


def _runs(rows: Table, seeds: int) -> list[tuple[int, str, Row | BestOf]]:
    """List the runs of a table in their order: seed, name of the row, and row."""
    return [
        (seed, name, row)
        for seed in range(seeds)
        for name, row in rows.items()
        if not isinstance(row, Quoted) and seed < (row.seeds or seeds)
    ]


def _further(
    application: Application,
    runs: list[tuple[int, str, Row | BestOf]],
    out: Path,
    overrides: tuple[str, ...],
) -> dict[tuple[int, str], float]:
    """Express what follows each missing run in its own steps, by seed and row."""
    missing = {
        (seed, name): run_settings(application, row, seed, out, overrides)
        for seed, name, row in runs
        if isinstance(row, Row) and not RunFolder(out / f"{name}-seed{seed}").is_finished
    }
    if all(settings.steps <= ESTIMATED_AFTER for settings in missing.values()):
        return {}
    gflops: dict[str, float] = {}
    for (_, name), settings in missing.items():
        if name not in gflops:
            gflops[name] = application.step_cost(settings).gflops
    work = [(settings.steps, gflops[name]) for (_, name), settings in missing.items()]
    return dict(zip(missing, further_steps(work), strict=True))


def _make(
    application: Application,
    row: Row | BestOf,
    seed: int,
    run: Path,
    profile: Profile,
    overrides: tuple[str, ...],
    device: torch.device,
    failed: set[str],
) -> None:
    """Train, resume or choose one run of a table, unless that is done."""
    if isinstance(row, BestOf):
        _choose(application, row, seed, run, device, failed)
        return
    settings = run_settings(application, row, seed, run.parent, overrides)
    if settings.start is not None and row.start is not None:
        try:
            checkpoint_file(Path(settings.start), settings.start_checkpoint)
        except InputError as error:  # of a run of this table, so that the others go on
            raise RunError(str(error)) from None
    if row.translated is not None:
        _translate_source(application, row, seed, run.parent, profile, overrides, device)
    _complete(application, run, settings, device)


def rows_of(
    application: Application,
    table: str,
    profile: Profile,
    overrides: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> Table:
    """List the rows of a table, or the named ones and those that they need.

    The arguments are those of `reproduce`.

    Raises:
        InputError: an unknown table or row, or wrong settings.
    """
    tables = application.tables(profile)
    if table not in tables:
        raise InputError(
            f"Expected one of {', '.join(tables)} with --profile {profile}. Got: {table!r}."
        )
    rows = tables[table]
    if not only:
        return rows
    can_run = [name for name, row in rows.items() if not isinstance(row, Quoted)]
    if unknown := [name for name in only if name not in can_run]:
        raise InputError(f"Expected rows of {', '.join(can_run)}. Got: {', '.join(unknown)}.")
    needed = set(only)
    for name, row in reversed(rows.items()):  # a row stands below those it needs
        if name in needed and not isinstance(row, Quoted):
            needed |= needed_by(application, row, overrides)
            needed |= set(row.stages) if isinstance(row, BestOf) else set()
    return {name: row for name, row in rows.items() if name in needed}


def needed_by(application: Application, row: Row | BestOf, overrides: tuple[str, ...]) -> set[str]:
    """Name the rows without which there is none of this one."""
    if isinstance(row, BestOf):
        return {row.stages[0]}
    needed = {"source"} if row.translated == "cycada" else set()
    starts = application.read_settings(row.experiment, [*overrides, *row.overrides]).start
    return needed | ({row.start} if starts and row.start else set())


def run_settings(
    application: Application,
    row: Row,
    seed: int,
    out: Path,
    overrides: tuple[str, ...],
) -> Any:
    """Resolve the settings of one run.

    Where the experiment starts from another run's network, that is the run of the row's `start`.

    Raises:
        InputError: wrong settings, or no data.test.
    """
    given = [*overrides, *row.overrides, f"seed={seed}"]
    settings = application.read_settings(row.experiment, given)
    if settings.start is not None and row.start is not None:
        given.append(override("start", str(out / f"{row.start}-seed{seed}")))
    if row.weight is not None:
        term, times = row.weight
        given.append(f"adaptation.{term}={getattr(settings.adaptation, term) * times}")
    if settings.data.test is None:
        raise InputError("Expected data.test, on which the table is scored. Got: none.")
    if row.translated is not None:
        folder = _translated_folder(out, row, seed)
        uri = application.translated_uri(settings.data.source, folder)
        given.append(override("data.source", uri))
        if application.has_annotations:  # the translated masks are those of the annotation already
            given.append(override("data.source_annotation", None))
    return application.read_settings(row.experiment, given)


def _translated_folder(out: Path, row: Row, seed: int) -> Path:
    return out / f"translated-{row.translated}-seed{seed}"


def _translate_source(
    application: Application,
    row: Row,
    seed: int,
    out: Path,
    profile: Profile,
    overrides: tuple[str, ...],
    device: torch.device,
) -> None:
    """Write the translated source of a row, unless it is there."""
    folder = _translated_folder(out, row, seed)
    if RunFolder(folder).is_finished:
        return
    assert row.translated is not None
    data = application.read_settings(row.experiment, [*overrides, *row.overrides]).data
    translation = read_translation_settings(
        row.translated,
        data.source,
        data.target,
        str(out / f"source-seed{seed}") if row.translated == "cycada" else None,
        application.translation_profile(profile),
        [f"seed={seed}"],
    )
    annotation = data.source_annotation if application.has_annotations else None
    resumes = folder.is_dir() and row.translated == "cycada"
    if folder.is_dir() and not resumes:
        shutil.rmtree(folder)  # needs no training, so it is written anew
    application.translate(translation, annotation, folder, device, resumes)


def _complete(application: Application, run: Path, settings: Any, device: torch.device) -> None:
    """Train a run, or resume it, unless it is finished.

    A finished run whose data have moved is resumed, which compares them, and scored again.
    """
    folder = RunFolder(run)
    require_same_settings(settings, folder)
    if folder.is_finished and has_same_addresses(settings, folder):
        return
    started, begun = time.monotonic(), run.is_dir()
    application.train(settings, run, device, begun)
    if not begun:
        write_whole(run / "seconds.json", json.dumps(round(time.monotonic() - started, 1)))


def _choose(
    application: Application,
    row: BestOf,
    seed: int,
    run: Path,
    device: torch.device,
    failed: set[str],
) -> None:
    """Copy the evaluation of the chosen run, unless it is there."""
    stages = [run.parent / f"{name}-seed{seed}" for name in row.stages]
    made = [folder for name, folder in zip(row.stages, stages, strict=True) if name not in failed]
    summaries = [file for folder in made for file in RunFolder(folder).summaries()]
    of = fingerprint([file.read_text() for file in summaries])
    decision = run / "chosen.json"
    if decision.is_file():
        if read_json(decision).get("of") == of:
            return
    elif (run / "config.yaml").is_file():
        raise InputError(
            f"Expected in {run} what `reproduce` chose for {row.title}. Got: another run. "
            f"Choose another --out, or move that run."
        )
    assert application.select_without_labels is not None
    chosen, reason, numbers = application.select_without_labels(made, device)
    if not reason and made != stages:
        reason = f"{stages[len(made)].name} failed."
    shutil.rmtree(run, ignore_errors=True)  # of other runs, or cut off here
    shutil.copytree(chosen / "evaluation", run / "evaluation")
    decided = {"chosen": chosen.name, "reason": reason, "numbers": numbers, "of": of}
    write_whole(decision, json.dumps(decided, indent=2))


def _write(
    application: Application, table: str, rows: Table, written: pd.DataFrame, out: Path
) -> None:
    """Write the table as CSV, Markdown and a plot."""
    write_table(out / f"{table}.csv", written)
    text = as_markdown(application, rows, written)
    write_whole(out / f"{table}.md", text)
    plot(application, rows, written, out / f"{table}.png")
