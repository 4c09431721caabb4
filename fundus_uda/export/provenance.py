"""What leaves with a network: its settings without places, and what is known of its training.

Places of data and runs may name a user, a machine or a patient, so nothing of them is kept but the
kind of a dataset, its split and the number of its photographs.
"""

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.data.datasets import LAYOUTS, load_samples
from fundus_uda.data.samples import without_masks
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.fingerprint import fingerprint_files
from fundus_uda.engine.methods import METHODS, training_domains
from fundus_uda.engine.model_path import checkpoint_file, kept_run
from fundus_uda.engine.run_folder import LIBRARIES, RunFolder
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.masks.dice import DICE
from fundus_uda.networks import PACKAGES
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.settings import FundusSettings

NAMED_WEIGHTS = ("imagenet", *PACKAGES, "random")
"""Origins of weights that are no places."""
LABEL_FREE = ("estimated_dice", "mean_affinity", "effective_classes", "collapsed")
"""Measures of a network on its target without labels."""


@dataclass(frozen=True)
class Dataset:
    """A dataset that a network saw."""

    kind: str
    """Kind of data URI and split, such as "refuge#train"."""
    photographs: int | None
    """Number of photographs; None if they are not where they were, or others are there."""
    terms: str
    """Terms of use."""


@dataclass(frozen=True)
class Provenance:
    """Origin of a network."""

    settings: FundusSettings
    """Settings of its run without places."""
    step: int
    source: Dataset | None
    """Labelled photographs; None for none."""
    target: Dataset | None
    """Photographs without labels; None for none."""
    outlined: Dataset | None
    """Photographs of the target that a reader outlined; None for none."""
    starts_from: bool
    """Whether the run went on from another network."""
    scores: dict[str, Any] | None
    """Mean, interval and number of each of `dice.DICE` on a labelled test set, and its `data`."""
    label_free: dict[str, float | bool]
    """Measures of `LABEL_FREE` on the target, as far as they were taken."""
    versions: dict[str, str]

    @property
    def method(self) -> str:
        """Return the title of the method."""
        return METHODS[self.settings.method].title


def settings_without_places(settings: FundusSettings) -> FundusSettings:
    """Return settings in which places are replaced by what they were: kinds of data, "a run"."""
    data = settings.data
    kinds = {
        name: uri and _kind(uri)
        for name in ("source", "target", "test", "outlined")
        for uri in [getattr(data, name)]
    }
    known = {annotation for layout in LAYOUTS.values() for annotation in layout.annotations}
    annotations = {
        name: value if value in known else None
        for name in ("source_annotation", "target_annotation")
        for value in [getattr(data, name)]
    }
    weights = settings.network.weights
    network = {"weights": weights if weights in NAMED_WEIGHTS else "a file"}
    return settings.model_copy(
        update={
            "start": None if settings.start is None else "a run",
            "data": data.model_copy(update=kinds | annotations),
            "network": settings.network.model_copy(update=network),
        }
    )


def provenance_of(model: Model, path: Path, which: CheckpointName) -> Provenance:
    """Collect what is known of a network.

    Args:
        model: network that was loaded from `path`.
        path: MODEL: run folder, folder that `adapt` wrote, or a file.
        which: checkpoint of a run folder.

    Raises:
        InputError: see `load_checkpoint`.
    """
    settings, file = model.settings, checkpoint_file(path, which)
    prints = load_checkpoint(file).data if file.suffix == ".pt" else {}
    used = training_domains(settings.method, settings.data.source, settings.data.target)
    oracle = settings.method == "oracle"
    annotation = settings.data.target_annotation if oracle else settings.data.source_annotation
    labelled, unlabelled = used
    if settings.data.source_sizes == "target":  # whose photographs are looked at, at least
        unlabelled = settings.data.target
    return Provenance(
        settings=settings_without_places(settings),
        step=model.step,
        source=_dataset(labelled, annotation, prints.get("source"), masks=True),
        target=_dataset(unlabelled, None, prints.get("target"), masks=False),
        outlined=_dataset(settings.data.outlined, None, prints.get("outlined"), masks=True),
        starts_from=settings.start is not None,
        scores=_scores(path, which),
        label_free=_label_free(path, model.step),
        versions={name: metadata.version(name) for name in LIBRARIES},
    )


def _kind(uri: str) -> str:
    """Return kind and split of a data URI; "unknown" if it is none any more."""
    try:
        kind, _, split = parse_data_uri(uri, {name: row.splits for name, row in LAYOUTS.items()})
    except InputError:
        return "unknown"
    return f"{kind}#{split}" if split else kind


def _dataset(
    uri: str | None, annotation: str | None, expected: str | None, masks: bool
) -> Dataset | None:
    if uri is None:
        return None
    kind = _kind(uri)
    layout = LAYOUTS.get(kind.partition("#")[0])
    terms = layout.terms if layout else "unknown"
    return Dataset(kind, _count(uri, annotation, expected, masks), terms)


def _count(uri: str, annotation: str | None, expected: str | None, masks: bool) -> int | None:
    """Count the photographs at a data URI, if they are those of the fingerprint."""
    if not expected:
        return None
    try:
        samples = load_samples(uri, annotation)
        samples = samples if masks else without_masks(samples)
        found = fingerprint_files((sample.id, sample.image, sample.masks) for sample in samples)
    except (InputError, OSError):
        return None
    return len(samples) if found == expected else None


def _scores(path: Path, which: CheckpointName) -> dict[str, Any] | None:
    """Read the scores that a run wrote of its checkpoint, without places."""
    run = kept_run(path)
    file = RunFolder(run).evaluation(which) / "summary.json"
    if not run.is_dir() or not file.is_file():
        return None
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        scores = {
            name: {key: summary[name][key] for key in ("mean", "std", "ci95", "n")} for name in DICE
        }
        return scores | {"data": _kind(summary["data"] or "")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Expected the scores of the run in {file}. Got: another file, or a damaged one "
            f"({type(error).__name__}). Score the run anew, or remove that file."
        ) from None


def _label_free(path: Path, step: int) -> dict[str, float | bool]:
    """Read the measures that were taken without labels: of an adaptation, else of a snapshot."""
    stages, snapshots = path / "stages.csv", kept_run(path) / "snapshots.csv"
    if stages.is_file():
        table = pd.read_csv(stages)
        rows = table[~table["left_out"].astype(bool)]
    elif snapshots.is_file():
        table = pd.read_csv(snapshots)
        rows = table[table["step"] == step]
    else:
        return {}
    if rows.empty:
        return {}
    last = rows.iloc[-1]
    found = {name: last[name] for name in LABEL_FREE if name in last and pd.notna(last[name])}
    return {name: bool(v) if name == "collapsed" else float(v) for name, v in found.items()}
