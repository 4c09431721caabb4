"""The default recipe: adapt to a camera's photographs, and outline those.

It goes on from rendered eyes, from another camera's labelled photographs, or from a network.
"""

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fundus_uda import weights
from fundus_uda.clinic.crops import is_whole
from fundus_uda.clinic.listing import Ids
from fundus_uda.config.read import Profile
from fundus_uda.data.datasets import is_data_uri
from fundus_uda.data.samples import Sample
from fundus_uda.engine.device import pick_device
from fundus_uda.engine.model_path import ADAPTATION_FILE, kept_run, name_kept_run
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.errors import InputError, RunError, WriteError
from fundus_uda.experiments.cost import further_steps
from fundus_uda.files import replacing, require_empty, write_table
from fundus_uda.masks.dice import DICE
from fundus_uda.output import ESTIMATED_AFTER, note, part
from fundus_uda.paths import user_path
from fundus_uda.recipe.crops import write_source, write_target
from fundus_uda.recipe.judging import JUDGED, reason_to_reject, scored
from fundus_uda.recipe.next_steps import write_next_steps
from fundus_uda.recipe.outlining import outline_target
from fundus_uda.recipe.plan import (
    STAGES,
    Planned,
    Task,
    plan_stages,
    require_consistent,
    run_of,
    whole_source,
    with_source,
)
from fundus_uda.recipe.readers import adjust_to_readers
from fundus_uda.recipe.target import (
    load_dataset,
    load_outlined,
    load_reference,
    named_target,
    require_same_data,
)
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import FundusSettings
from fundus_uda.segmentation.size_match import reason_left_as_it_is
from fundus_uda.segmentation.training import step_cost, train
from fundus_uda.unfinished import is_unfinished, locked

_SHIPPED = Path("stages") / "model.safetensors"
"""Copy of the network that comes along, in the folder of an adaptation that starts from it."""
KEPT_ROW: dict[str, Any] = {"left_out": False, "reason": "", "sizes_not_matched": ""}
"""Columns of `stages.csv` for a stage that is kept, on a source of the target's sizes."""


def adapt(
    target: list[str],
    out: Path | str,
    device: torch.device | str = "auto",
    *,
    source: str | None = None,
    model: Path | str | None = None,
    seed: int = 0,
    profile: Profile = "cpu",
    key: bytes | None = None,
    overrides: tuple[str, ...] = (),
    outlined: Path | str | None = None,
    continue_run: bool = False,
    recursive: bool = False,
    ids: Ids = "name",
) -> pd.DataFrame:
    """Run the stages, then outline the target with the network before and after adaptation.

    Writes into `out`: `target/images` (crops around the discs), `source` (such crops, where the
    source is whole photographs), `stages/N_NAME` (run folders), `stages/adjusted` (the run folder
    of a network that is adjusted to `outlined`), `stages.csv`, `before` and `predictions` (see
    `clinic.predict.predict`; with the report), `model.json`, by which `out` is a MODEL as a run
    folder is, and `README.txt`, which says so.

    Args:
        target: paths of photographs (see `clinic.listing.list_photographs`), or one data URI
            `KIND:PATH[#SPLIT]`, whose masks are read only for scores.
        out: new or empty folder, or that of the adaptation to continue.
        device: where to train; for a text see `pick_device`.
        source: data URI of labelled photographs, which the first stage learns, going on from the
            network that comes with the program. If `model` is given too, that stage is left out.
            Without either, rendered eyes are the source (see `rendering`).
        model: run folder, folder of an adaptation, or checkpoint to start from, whose network and
            size are kept. Without `source`, adaptation sees no source image.
        seed: seed of all stages.
        profile: "cpu", or "paper" for the paper's size and network.
        key: key that hashes the ids of the photographs.
        overrides: `key=value` for the settings of all stages.
        outlined: folder of photographs of the target with the outlines that a reader drew or
            corrected (see `data.outlined`), or their data URI. All stages learn them beside the
            source, the network that is kept is adjusted to them (see
            `segmentation.adjustment`), and no Dice of the target counts them. Five or more decide
            which stages are kept.
        continue_run: continue the adaptation in `out`.
        recursive: see `clinic.listing.list_photographs`.
        ids: see `clinic.listing.list_photographs`.

    Returns:
        The table `stages.csv`; `load_model(out)` loads the network. The table has a row per stage,
        after a row of `model` if it is given. Columns are stage, title, those of `scored` (without
        labels: estimated_dice, disc_share, collapsed, …; with `outlined`, outlined_dice), left_out,
        reason, sizes_not_matched (the reason why the source's discs were shown as large as they
        are, if they were) and, if the target has masks, dice_cup, dice_disc, dice_mean of the
        stages. A stage is left out if `reason_to_reject` has one, or if it failed, and there was a
        network before it. With `outlined`, the last row is that of `adjust_to_readers`.

    Raises:
        InputError: wrong data, settings or folder; an override of a setting that has a parameter;
            no photograph with a disc; outlines of photographs that are not the target's, or of
            another size.
        RunError: a loss is not finite in the first stage, with no network before it (else the stage
            is left out).
        WriteError: there is no room to write.
    """
    out, device = Path(out), pick_device(device)
    model = user_path(model).absolute() if model is not None else None
    if outlined is not None and not is_data_uri(str(outlined)):
        outlined = f"outlined:{outlined}"
    task = Task(
        target, out, device, source, model, seed, profile, key, overrides, recursive, ids,
        outlined=str(outlined) if outlined is not None else None,
    )  # fmt: skip
    require_consistent(task)
    task = with_source(task)
    if not continue_run:
        require_empty(out)
    dataset = load_dataset(target, key)
    whole = whole_source(task)
    named = named_target(task, dataset)
    with_outlines = load_outlined(task, named)
    plan = plan_stages(task, dataset, crops_source=bool(whole))
    reference = load_reference(plan[0].settings.data, with_outlines)
    with locked(out):
        require_same_data(out, named, whole)
        photographs = _write_data(task, dataset, whole)
        rows, kept = _run_stages(task, plan, with_outlines)
        if with_outlines:
            before = [row for row in rows if not row["left_out"]][-1]
            row, kept = adjust_to_readers(
                task, kept, before, plan[-1].settings, with_outlines, reference
            )
            rows.append(KEPT_ROW | row)
        table = _stages_table(rows, reference is not None, bool(with_outlines))
        write_table(out / "stages.csv", table)
        first = task.model or plan[0].run
        if first == weights.RENDERED:
            first = _copy_of_shipped(out)
            kept = first if kept == weights.RENDERED else kept
        name_kept_run(out, str(table.loc[~table["left_out"], "stage"].iloc[-1]), kept)
        write_next_steps(out)
        outline_target(task, photographs, first, kept, reference, table)
    return table


def photographs_of(folder: Path) -> Path:
    """Return the folder of the crops that an adaptation adapted to.

    Raises:
        InputError: `folder` is not one that `adapt` wrote.
    """
    images = folder / "target" / "images"
    if not images.is_dir():
        raise InputError(
            f"Expected photographs behind MODEL, or a folder that `adapt` wrote. Got: {folder} "
            f"alone, which has no target/images. Name the photographs."
        )
    return images


def first_network(folder: Path) -> Path | None:
    """Return the network that an adaptation is compared to: the one before it saw the target.

    It is the one that the adaptation started from, or that of its source-only stage.

    Returns:
        None if the adaptation kept that network, or if `folder` is none that `adapt` wrote.

    Raises:
        InputError: the network is gone.
    """
    runs = sorted((folder / "stages").glob("[0-9]_*"))
    if not runs:
        return None
    first = runs[0]
    if (shipped := folder / _SHIPPED).is_file():
        first = shipped
    elif first != run_of(STAGES[0], folder):
        first = Path((RunFolder(first).settings() or {}).get("start") or first)
    if not first.exists():
        raise InputError(
            f"Expected the network from which {folder} started at {first}. Got: nothing. Name it, "
            f"or another one, by --before."
        )
    return first if kept_run(first).resolve() != kept_run(folder).resolve() else None


def _copy_of_shipped(out: Path) -> Path:
    """Copy the network that comes along into `out`, which may move, or outlive this version."""
    copy = out / _SHIPPED
    copy.parent.mkdir(exist_ok=True)
    with replacing(copy) as temporary:
        shutil.copyfile(weights.RENDERED, temporary)
    return copy


def _write_data(task: Task, dataset: list[Sample], whole: list[Sample]) -> list[Path]:
    """Write the crops of target and source; return the photographs to outline."""
    try:
        photographs = write_target(task, dataset)
        write_source(whole, task.out)
    except InputError:
        target = task.out / "target"
        if not is_whole(target) and not is_unfinished(target):
            shutil.rmtree(target, ignore_errors=True)  # nothing is begun: leave no trace
            (task.out / ADAPTATION_FILE).unlink()
        raise
    return photographs


def _run_stages(
    task: Task, plan: list[Planned], outlined: list[Sample]
) -> tuple[list[dict[str, Any]], Path]:
    """Train the stages until one is left out; return their rows, and the kept network."""
    rows: list[dict[str, Any]] = []
    kept = task.model
    if task.model is not None:
        of_model = scored(load_model(task.model, task.device), plan[0].settings, "", outlined)
        comes_along = task.model == weights.RENDERED
        title = "The network that comes with the program" if comes_along else "The given model"
        rows.append({"stage": "model", "title": title, **KEPT_ROW, **of_model})
    further = _tell_cost([planned.settings for planned in plan])
    for number, (stage, run, settings) in enumerate(plan, start=1):
        row: dict[str, Any] = {"stage": stage.method, "title": stage.title, **KEPT_ROW}
        rows.append(row)
        try:
            with part(f"stage {number} of {len(plan)}", further[number - 1]):
                scores = train(settings, run, task.device, continue_run=run.exists())
        except RunError as error:
            if kept is None or isinstance(error, WriteError):
                raise
            row |= {"left_out": True, "reason": str(error)}
            break
        row |= {name: scores["last"][name]["mean"] for name in DICE if scores}
        row |= scored(load_model(run, task.device), settings, reason_left_as_it_is(run), outlined)
        if kept is not None and (reason := reason_to_reject(row, rows[-2], len(outlined))):
            row |= {"left_out": True, "reason": reason}
            break  # the network before it is kept
        kept = run
    assert kept is not None
    return rows, kept


def _tell_cost(stages: list[FundusSettings]) -> list[float]:
    """Tell the steps and the memory of the stages; return what follows each, in its own steps."""
    if max(settings.steps for settings in stages) <= ESTIMATED_AFTER:  # done sooner than told
        return [0.0] * len(stages)
    costs = [step_cost(settings) for settings in stages]
    steps = " + ".join(str(settings.steps) for settings in stages)
    gigabytes = max(cost.peak_megabytes for cost in costs) / 1000
    note(
        f"{len(stages)} stages of {steps} steps, which take up to {gigabytes:.1f} GB of memory for "
        f"tensors, beside about 1 GB for the program and the photographs. The first steps tell the "
        f"time."
    )
    return further_steps([(of.steps, cost.gflops) for of, cost in zip(stages, costs, strict=True)])


def _stages_table(rows: list[dict[str, Any]], has_masks: bool, has_outlines: bool) -> pd.DataFrame:
    columns = ["stage", "title", *JUDGED, *(f.name for f in fields(SelectionScore))]
    columns += [*(("outlined_dice",) if has_outlines else ()), "left_out", "reason"]
    columns += ["sizes_not_matched", *(DICE if has_masks else ())]
    return pd.DataFrame(rows).reindex(columns=columns)
