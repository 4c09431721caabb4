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
from fundus_uda.engine.checkpoint import fingerprint, require_same_settings
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError, RunError
from fundus_uda.experiments.results import COST, as_markdown, collect, plot
from fundus_uda.experiments.tables import COSTED, Application, BestOf, Row
from fundus_uda.translation.settings import read_settings as read_translation_settings


def reproduce(
    application: Application,
    table: str,
    out: Path,
    device: torch.device,
    seeds: int = 3,
    profile: Profile = "cpu",
    overrides: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Train the missing runs of a table, and write it beside the paper's values.

    Runs are in `out/ROW-seedN`. Finished runs are left alone and interrupted ones resumed, so the
    command can be stopped and started at will. `out/TABLE.csv`, `.md` and `.png` are rewritten
    after each run.

    Args:
        application: application that has the table.
        table: key of `application.tables`.
        out: folder of the runs and the table.
        device: device to train on.
        seeds: number of seeds (0, 1, …) of the rows that have several.
        profile: "cpu", or "paper" for the paper's own settings.
        overrides: `key=value` for the settings of all runs, such as data.target.
        say: function that is told of each run before it starts.
        only: rows to train, with those that they start from; all if empty.

    Returns:
        The table (see `collect`).

    Raises:
        InputError: an unknown table or row, wrong settings or data, or a run with other settings
            in `out`.
        RunError: some rows failed; raised after all others are done.
    """
    if table not in application.tables:
        raise InputError(f"Expected one of {', '.join(application.tables)}. Got: {table!r}.")
    rows = application.tables[table]
    rows = _with_starts(rows, only) if only else rows
    failures = []
    for seed in range(seeds):
        failed: set[str] = set()
        for name, row in rows.items():
            if seed >= (row.seeds or seeds):
                continue
            if failed & _needs(row):
                failed.add(name)  # it has nothing to start from
                continue
            say(f"{row.title}, seed {seed}")
            run = out / f"{name}-seed{seed}"
            try:
                if isinstance(row, BestOf):
                    _choose(application, row, seed, run, device, row.second in failed)
                else:
                    settings = _settings(application, row, seed, out, device, profile, overrides)
                    _complete(application, run, settings, device)
                    if table == COSTED and not (run / COST).is_file():
                        cost = application.step_cost(settings, device)
                        (run / COST).write_text(json.dumps(cost._asdict()), encoding="utf-8")
            except RunError as error:
                failed.add(name)
                failures.append(f"{row.title}, seed {seed}: {error}")
            written = collect(application, table, out)
            written.to_csv(out / f"{table}.csv", index=False)
            text = as_markdown(application, table, written)
            (out / f"{table}.md").write_text(text, encoding="utf-8")
            plot(application, table, written, out / f"{table}.png")
    if failures:
        raise RunError(
            f"All but {len(failures)} rows, and those that go on from them, are in "
            f"{out / table}.md. " + "\n".join(failures)
        )
    return written


def _needs(row: Row | BestOf) -> set[str]:
    """Return the rows that must succeed before this one can run."""
    if isinstance(row, BestOf):
        return {row.first}
    return ({row.start} if row.start else set()) | ({"source"} if row.translated else set())


def _with_starts(rows: dict[str, Row | BestOf], only: tuple[str, ...]) -> dict[str, Row | BestOf]:
    """Return the named rows and those they need, in the table's order."""
    if unknown := [name for name in only if name not in rows]:
        raise InputError(f"Expected rows of {', '.join(rows)}. Got: {', '.join(unknown)}.")
    needed = set(only)
    for name, row in reversed(rows.items()):  # a row stands below those it needs
        if name in needed:
            needed |= _needs(row)
            needed |= {row.second} if isinstance(row, BestOf) else set()
    return {name: row for name, row in rows.items() if name in needed}


def _settings(
    application: Application,
    row: Row,
    seed: int,
    out: Path,
    device: torch.device,
    profile: Profile,
    overrides: tuple[str, ...],
) -> Any:
    """Return the settings of one run; translate the source images first if the run needs it."""
    given = [*overrides, *row.overrides, f"seed={seed}"]
    if profile == "cpu" and row.updates_on_cpu is not None:
        given.insert(0, f"steps={row.updates_on_cpu}")
    if row.start is not None:
        given.append(override("start", str(out / f"{row.start}-seed{seed}")))
    name = application.in_profile(row.experiment, profile)
    settings = application.read_settings(name, given)
    if row.weight is not None:
        term, times = row.weight
        given.append(f"adaptation.{term}={getattr(settings.adaptation, term) * times}")
        settings = application.read_settings(name, given)
    if settings.data.test is None:
        raise InputError("Expected data.test, on which the table is scored. Got: none.")
    if row.translated:
        given += _translated_source(application, settings, out, seed, device, profile)
        settings = application.read_settings(name, given)
    return settings


def _complete(application: Application, run: Path, settings: Any, device: torch.device) -> None:
    """Train a run, or resume it, unless it is finished."""
    folder = RunFolder(run)
    require_same_settings(settings, folder)
    if folder.is_finished:
        return
    started, begun = time.monotonic(), run.is_dir()
    application.train(settings, run, device, begun)
    if not begun:
        (run / "seconds.json").write_text(json.dumps(round(time.monotonic() - started, 1)))


def _choose(
    application: Application,
    row: BestOf,
    seed: int,
    run: Path,
    device: torch.device,
    second_failed: bool,
) -> None:
    """Choose one of two runs and copy its evaluation, unless that is already done."""
    first, second = (run.parent / f"{name}-seed{seed}" for name in (row.first, row.second))
    summaries = [file for run in (first, second) for file in RunFolder(run).summaries()]
    of = fingerprint([file.read_text() for file in summaries])
    decision = run / "chosen.json"
    if decision.is_file():
        if json.loads(decision.read_text(encoding="utf-8"))["of"] == of:
            return
    elif (run / "config.yaml").is_file():
        raise InputError(
            f"Expected in {run} what `reproduce` chose for {row.title}. Got: another run. "
            f"Choose another --out, or move that run."
        )
    assert application.select_without_labels is not None
    reason, numbers = (
        (f"{second.name} failed.", {})
        if second_failed
        else application.select_without_labels(first, second, device)
    )
    chosen = first if reason else second
    shutil.rmtree(run, ignore_errors=True)  # from other runs, or incomplete
    shutil.copytree(chosen / "evaluation", run / "evaluation")
    decided = {"chosen": chosen.name, "reason": reason, "numbers": numbers, "of": of}
    decision.write_text(json.dumps(decided, indent=2), encoding="utf-8")


def _translated_source(
    application: Application,
    settings: Any,
    out: Path,
    seed: int,
    device: torch.device,
    profile: Profile,
) -> list[str]:
    """Translate the source images, once, and return the overrides that make a run use them."""
    folder = out / f"translated-seed{seed}"
    translation = read_translation_settings(
        "cycada",
        settings.data.source,
        settings.data.target,
        str(out / f"source-seed{seed}"),
        profile,
        [f"seed={seed}"],
    )
    if not RunFolder(folder).is_finished:
        annotation = settings.data.source_annotation if application.has_annotations else None
        application.translate(translation, annotation, folder, device, folder.is_dir())
    uri = application.translated_uri(settings.data.source, folder)
    # the translated masks already come from the annotation
    given = [override("data.source_annotation", None)] if application.has_annotations else []
    return [override("data.source", uri), *given]
