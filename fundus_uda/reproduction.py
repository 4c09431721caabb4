"""The paper's tables at one's own scale: all runs of a table, one after the other or resumed."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from fundus_uda.engine.checkpoint import changed_settings, fingerprint
from fundus_uda.engine.config import Profile, in_profile, override
from fundus_uda.engine.errors import InputError, WorkError
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.tables import COSTED, Application, Choice, Row
from fundus_uda.translation.settings import read_settings as read_translation_settings
from fundus_uda.written_tables import COST, as_markdown, collect, plot


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
    """Train what is missing of a table, and write it beside the paper's values.

    Runs are in `out/ROW-seedN`; a finished one is left alone, an interrupted one resumed, so that
    the command can be stopped and started at will. `out/TABLE.csv`, `.md` and `.png` are written
    anew after each run.

    Args:
        application: whose tables.
        table: a key of them.
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
        WorkError: at the end, of the rows that failed.
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
                failed.add(name)  # it has nothing to go on from
                continue
            say(f"{row.title}, seed {seed}")
            run = out / f"{name}-seed{seed}"
            try:
                if isinstance(row, Choice):
                    _choose(application, row, seed, run, device, row.second in failed)
                else:
                    settings = _settings(application, row, seed, out, device, profile, overrides)
                    _complete(application, run, settings, device)
                    if table == COSTED and not (run / COST).is_file():
                        cost = application.step_cost(settings, device)
                        (run / COST).write_text(json.dumps(cost._asdict()), encoding="utf-8")
            except WorkError as error:
                failed.add(name)
                failures.append(f"{row.title}, seed {seed}: {error}")
            written = collect(application, table, out)
            written.to_csv(out / f"{table}.csv", index=False)
            text = as_markdown(application, table, written)
            (out / f"{table}.md").write_text(text, encoding="utf-8")
            plot(application, table, written, out / f"{table}.png")
    if failures:
        raise WorkError(
            f"All but {len(failures)} rows, and those that go on from them, are in "
            f"{out / table}.md. " + "\n".join(failures)
        )
    return written


def _needs(row: Row | Choice) -> set[str]:
    """The rows without which there is none of this one."""
    if isinstance(row, Choice):
        return {row.first}
    return ({row.start} if row.start else set()) | ({"source"} if row.translated else set())


def _with_starts(rows: dict[str, Row | Choice], only: tuple[str, ...]) -> dict[str, Row | Choice]:
    """The named rows and those they need, in the table's order."""
    if unknown := [name for name in only if name not in rows]:
        raise InputError(f"Expected rows of {', '.join(rows)}. Got: {', '.join(unknown)}.")
    needed = set(only)
    for name, row in reversed(rows.items()):  # a row stands below those it needs
        if name in needed:
            needed |= _needs(row)
            needed |= {row.second} if isinstance(row, Choice) else set()
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
    """Of one run; what it needs of other runs is there, or made here (a translated source)."""
    given = [*overrides, *row.overrides, f"seed={seed}"]
    if profile == "cpu" and row.updates_on_cpu is not None:
        given.insert(0, f"steps={row.updates_on_cpu}")
    if row.start is not None:
        given.append(override("start", str(out / f"{row.start}-seed{seed}")))
    settings = application.read_settings(row.config, profile, given)
    if row.weight is not None:
        term, times = row.weight
        given.append(f"adaptation.{term}={getattr(settings.adaptation, term) * times}")
        settings = application.read_settings(row.config, profile, given)
    if settings.data.test is None:
        raise InputError("Expected data.test, on which the table is scored. Got: none.")
    if row.translated:
        given += _translated_source(application, settings, out, seed, device, profile)
        settings = application.read_settings(row.config, profile, given)
    return settings


def _complete(application: Application, run: Path, settings: Any, device: torch.device) -> None:
    _require_same_settings(run, settings)
    if (run / "evaluation" / "last" / "summary.json").is_file():
        return
    started, begun = time.monotonic(), RunFolder(run).last.is_file()
    application.train(settings, run, device, begun)
    if not begun:
        (run / "seconds.json").write_text(json.dumps(round(time.monotonic() - started, 1)))


def _choose(
    application: Application,
    row: Choice,
    seed: int,
    run: Path,
    device: torch.device,
    second_failed: bool,
) -> None:
    """Take over the evaluation of the run that is chosen, unless it is there."""
    first, second = (run.parent / f"{name}-seed{seed}" for name in (row.first, row.second))
    summaries = [r / "evaluation" / "last" / "summary.json" for r in (first, second)]
    of = fingerprint([file.read_text() for file in summaries if file.is_file()])
    decision = run / "chosen.json"
    if decision.is_file():
        if json.loads(decision.read_text(encoding="utf-8"))["of"] == of:
            return
    elif (run / "config.yaml").is_file():
        raise InputError(
            f"Expected in {run} what `reproduce` chose for {row.title}. Got: another run. "
            f"Choose another --out, or move that run."
        )
    assert application.weigh is not None
    reason, figures = (
        (f"{second.name} failed.", {})
        if second_failed
        else application.weigh(first, second, device)
    )
    chosen = first if reason else second
    shutil.rmtree(run, ignore_errors=True)  # of other runs, or cut off here
    shutil.copytree(chosen / "evaluation", run / "evaluation")
    decided = {"chosen": chosen.name, "reason": reason, "figures": figures, "of": of}
    decision.write_text(json.dumps(decided, indent=2), encoding="utf-8")


def _translated_source(
    application: Application,
    settings: Any,
    out: Path,
    seed: int,
    device: torch.device,
    profile: Profile,
) -> list[str]:
    """The overrides that make it the source. It is translated once."""
    folder = out / f"translated-seed{seed}"
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
        begun = RunFolder(folder).last.is_file()
        application.translate(translation, settings, folder, device, begun)
        finished.touch()
    return application.translated(settings, folder)


def _require_same_settings(run: Path, settings: Any) -> None:
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
