"""The default recipe: labelled photographs of one camera, any of another's; outlines of those."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fundus_uda.clinic.batch import predict
from fundus_uda.clinic.crops import show_whole_photographs
from fundus_uda.clinic.estimate import estimated_dice
from fundus_uda.data.datasets import is_address, load_samples
from fundus_uda.data.samples import Sample, has_masks, require_masks
from fundus_uda.engine.checkpoint import fingerprint
from fundus_uda.engine.config import Profile, in_profile, override
from fundus_uda.engine.errors import InputError, WorkError
from fundus_uda.engine.runlog import RunFolder, require_empty
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.metrics import DICE
from fundus_uda.model import Model, load_model
from fundus_uda.recipe_crops import write_source, write_target
from fundus_uda.settings import FundusSettings, read_settings
from fundus_uda.training import score_on_target, train

OPTIONS = {
    "seed": "--seed",
    "start": "--model",
    "data.source": "--source",
    "data.target": "--target",
    "data.test": "--target KIND:PATH",
}
"""What gives the settings that are not for overrides."""
OF_THE_MODEL = ("network.encoder", "network.output_stride", "network.weights", "data.size")
"""Settings that `--model` gives."""
KEPT: dict[str, Any] = {"left_out": False, "reason": ""}
"""What `stages.csv` says of a stage, unless there is a reason against it."""


@dataclass(frozen=True)
class Stage:
    """One run of the chain; each starts from the network of the one before."""

    name: str
    title: str
    config: str
    """Name of the shipped settings, without the profile's ending."""


STAGES = (
    Stage("source", "Source, strongly augmented", "strong_source"),
    Stage("mean_teacher", "Mean teacher", "mean_teacher"),
)


def adapt(
    target: list[str],
    out: Path,
    device: torch.device,
    *,
    source: str | None = None,
    model: Path | None = None,
    seed: int = 0,
    profile: Profile = "cpu",
    key: bytes | None = None,
    overrides: tuple[str, ...] = (),
    continue_run: bool = False,
) -> pd.DataFrame:
    """Run the stages, then outline the target with the network before and after adaptation.

    Writes into `out`: `target/images` (crops around the discs), `source` (such crops, where the
    source is whole photographs), `stages/N_NAME` (run folders), `stages.csv`, `before` and
    `predictions` (see `clinic.batch.predict`; with the report).

    Args:
        target: paths of photographs (see `clinic.reading.list_photographs`), or one address
            `KIND:PATH[#SPLIT]`, whose masks are read for scores alone.
        out: a new or empty folder, or that of the adaptation to continue.
        device: where to train.
        source: address of labelled photographs. With `model` too, the first stage is left out.
        model: run folder or checkpoint to start from, whose network and size are kept. Without
            `source`, adaptation sees no source image.
        seed: of all stages.
        profile: "cpu", or "paper" for its size and network.
        key: hashes the ids of the photographs.
        overrides: `key=value` for the settings of all stages.
        continue_run: go on where `out` stands.

    Returns:
        `stages.csv`: a row per stage, before them one of `model`, if given: stage, title,
        estimated_dice (see `clinic.estimate`), mean_affinity, effective_classes, collapsed,
        left_out, reason (the stage failed, collapsed or did not raise the estimate, and
        there was a network before it) and, where the target has masks, dice_cup, dice_disc,
        dice_mean of the stages.

    Raises:
        InputError: wrong data, settings or folder; an override of what has a parameter; no
            photograph with a disc; neither source nor model.
        WorkError: a loss is not finite in the first stage.
    """
    if source is None and model is None:
        raise InputError("Expected --source, --model or both. Got: neither.")
    for text in overrides:
        if (name := text.partition("=")[0]) in OPTIONS:
            raise InputError(f"Expected {OPTIONS[name]} in place of {name}=…. Got: {text}.")
        if model is not None and name in OF_THE_MODEL:
            raise InputError(f"Expected no {name}=…, which --model gives. Got: {text}.")
    dataset = _dataset(target, key)
    masks = target[0] if dataset and all(has_masks(sample) for sample in dataset) else None
    data = [
        override("seed", seed),
        override("data.source", source),
        override("data.target", f"folder:{out / 'target'}"),
        override("data.test", masks),
    ]
    if whole := _whole_source(source, [*overrides, *data], profile):
        data.append(override("data.source", f"folder:{out / 'source'}"))
        data.append(override("data.source_annotation", None))  # its masks are of that one
    network = _network_of(load_model(model, device).settings) if model else []
    plan: list[tuple[Stage, Path, FundusSettings]] = []
    start = model
    for number, stage in enumerate(STAGES, start=1):
        if stage is STAGES[0] and model is not None:
            continue
        given = [*data, *network, override("start", str(start) if start else None)]
        config = in_profile(f"fundus/{stage.config}", profile)
        start = out / "stages" / f"{number}_{stage.name}"
        plan.append((stage, start, read_settings(config, [*overrides, *given])))

    _require_same_target(out, target, key, continue_run)
    try:
        photographs = write_target(target, dataset, out, key)
        write_source(whole, out)
    except InputError:
        if not (out / "target.csv").is_file():  # nothing is begun: leave no trace
            shutil.rmtree(out / "target", ignore_errors=True)
            (out / "adaptation.json").unlink()
        raise

    rows: list[dict[str, Any]] = []
    kept = model
    if model is not None:
        of_model = scored(load_model(model, device), plan[0][2], device)
        rows.append({"stage": "model", "title": "The given model", **KEPT, **of_model})
    for stage, run, settings in plan:
        row: dict[str, Any] = {"stage": stage.name, "title": stage.title, **KEPT}
        rows.append(row)
        try:
            scores = train(settings, run, device, continue_run=RunFolder(run).last.is_file())
        except WorkError as error:
            if kept is None:
                raise
            row |= {"left_out": True, "reason": str(error)}
            break
        row |= {name: scores["last"][name]["mean"] for name in DICE if scores}
        row |= scored(load_model(run, device), settings, device)
        if kept is not None and (reason := reason_against(row, rows[-2])):
            row |= {"left_out": True, "reason": reason}
            break  # the network before it stands
        kept = run
    assert kept is not None
    first = model or plan[0][1]
    columns = ["stage", "title", "estimated_dice", *(f.name for f in fields(SelectionScore))]
    columns += ["left_out", "reason", *(DICE if masks is not None else ())]
    table = pd.DataFrame(rows).reindex(columns=columns)
    note = _note(table)
    table.to_csv(out / "stages.csv", index=False)
    before = out / "before"
    beside: dict[str, Any] = {"before": before, "note": note}
    if masks is not None:
        beside["reference"] = dataset
    for run, folder, more in ((first, before, {}), (kept, out / "predictions", beside)):
        if not _is_outlined(folder, more.get("note")):
            shutil.rmtree(folder, ignore_errors=True)  # cut off here, or of another decision
            predict(load_model(run, device), photographs, folder, device, key, **more)
    return table


def _is_outlined(folder: Path, note: str | None) -> bool:
    """Whether `predict` has written all, with this note."""
    summary = folder / "summary.json"
    done = (folder / "report.html").is_file() and summary.is_file()
    return done and json.loads(summary.read_text(encoding="utf-8"))["note"] == note


def scored(model: Model, settings: FundusSettings, device: torch.device) -> dict[str, Any]:
    """What the photographs of data.target tell of a network, without labels.

    Returns:
        estimated_dice (see `clinic.estimate`) and the fields of `SelectionScore`.
    """
    assert settings.data.target is not None
    samples = load_samples(settings.data.target)
    return {
        "estimated_dice": estimated_dice(model, samples, device),
        **asdict(score_on_target(model, samples, settings, device)),
    }


def reason_against(row: dict[str, Any], before: dict[str, Any]) -> str:
    """Why a stage is to be left out; empty where it is to be kept.

    Args:
        row: what `scored` gives of its network.
        before: of the network before it.
    """
    if row["collapsed"]:
        return "The prediction on these photographs collapsed."
    ours, theirs = row["estimated_dice"], before["estimated_dice"]
    if ours > theirs:
        return ""
    return (
        f"Without labels, its Dice is estimated at {ours:.4f}, which is not above the "
        f"{theirs:.4f} of the network before it."
    )


def _note(table: pd.DataFrame) -> str:
    """To readers of the report: what went wrong, where something did."""
    last = table.iloc[-1]
    used = table[~table["left_out"]].iloc[-1]
    told = []
    if last["left_out"]:
        told.append(f"{last['title']}: {last['reason']} The network before it is used.")
    if used["collapsed"]:
        told.append("The prediction on these photographs collapsed. Do not trust it.")
    return " ".join(told)


def _network_of(settings: FundusSettings) -> list[str]:
    """The overrides that make a run's network the one of these settings."""
    network = settings.network
    return [
        f"network.encoder={network.encoder}",
        f"network.output_stride={network.output_stride}",
        f"data.size={settings.data.size}",
    ]


def _require_same_target(
    out: Path, target: list[str], key: bytes | None, continue_run: bool
) -> None:
    """A new folder, or that of an adaptation to the same target: the only one to delete in."""
    file = out / "adaptation.json"
    ours = fingerprint([target, hashlib.sha256(key).hexdigest() if key else None])
    if not continue_run:
        require_empty(out)
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"target": ours}), encoding="utf-8")
    elif not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != {"target": ours}:
        raise InputError(
            f"Expected an adaptation to the same --target, with the same --key-file, in {out} to "
            f"go on with. Got: another, or none. Give those, or choose another --out."
        )


def _dataset(target: list[str], key: bytes | None) -> list[Sample]:
    """The samples of a target that is the address of a dataset; none of photographs."""
    if len(target) > 1 or not is_address(target[0]):
        return []
    if key is not None:
        raise InputError(
            "Expected --key-file with photographs alone. Got: a dataset, whose names are kept."
        )
    return load_samples(target[0])


def _whole_source(source: str | None, given: list[str], profile: Profile) -> list[Sample]:
    """The samples of a source of whole photographs, to be cropped; none of one of crops."""
    if source is None:
        return []
    settings = read_settings(in_profile(f"fundus/{STAGES[0].config}", profile), given)
    samples = require_masks(load_samples(source, settings.data.source_annotation), source)
    return samples if show_whole_photographs(samples) else []
