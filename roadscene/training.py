"""The composition root: settings to data, network and state, to `engine.loop.run`, to scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fundus_uda.engine import loop
from fundus_uda.engine.batches import SampleKey
from fundus_uda.engine.checkpoint import fingerprint, load_checkpoint, resume
from fundus_uda.engine.config import differences
from fundus_uda.engine.cost import Cost, cost_of_step
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.engine.selection import SelectionScore, selection_score
from fundus_uda.engine.state import TrainState, build_state, memory_format, trained_network
from roadscene.data import Frame, load_frames, read_label, require_labels, without_labels
from roadscene.deeplab_v2 import DeepLabV2
from roadscene.evaluation import evaluate, write_evaluation
from roadscene.images import RoadImages
from roadscene.model import (
    build_network,
    load_model,
    normalisation,
    parameter_groups,
    random_network,
)
from roadscene.settings import RoadSettings
from roadscene.weights import LoadReport, load_tensors

LABELS_TO_COUNT = 500
"""Enough of the source labels, evenly spread, to know how many classes to expect."""


def train(
    settings: RoadSettings, out: Path, device: torch.device, continue_run: bool = False
) -> dict[str, dict[str, Any]]:
    """Train one run into a folder, then score what it kept on the test split, if one is set.

    Args:
        settings: of the run.
        out: a new or empty folder, or that of the run to continue.
        device: where to train.
        continue_run: resume from the last checkpoint; the result equals an unbroken run's.

    Returns:
        The evaluation summaries of "last" and, with a target, of "selected".

    Raises:
        InputError: wrong data, settings, weights or folder.
        WorkError: a loss is not finite; a teacher was sure of no pixel.
    """
    folder, data = RunFolder(out), settings.data
    if continue_run:
        folder.require_checkpoint()
    source, target = _training_frames(settings)
    test = require_labels(load_frames(data.test), data.test) if data.test else []
    lists = {"source": _list_fingerprint(source), "target": _list_fingerprint(target)}

    labelled = source or require_labels(load_frames(data.source), data.source)
    state, report = _initial_state(settings, _label_shares(labelled, data.classes), device)
    if continue_run:
        resume(folder.last, state, settings, lists)
        folder.rewind(state.step)

    expected_input = normalisation(settings)
    sources = None
    if source:
        sources = RoadImages(source, _labelled_size(settings), data.classes, expected_input)
    targets = RoadImages(target, data.target_size, data.classes, expected_input) if target else None
    if not continue_run:
        folder.begin(settings, device)  # only now that all input was readable
        if report is not None:
            (out / "weights.txt").write_text(f"{report}\n", encoding="utf-8")

    def score() -> SelectionScore:
        assert targets is not None
        images = _batches(targets, settings, device)
        result = trained_network(state, settings)
        return selection_score(result, images, state.label_shares, settings.affinity.neighbors)

    loop.run(
        state,
        sources,
        targets,
        settings,
        folder,
        score if targets is not None else None,
        lists,
    )
    return _score_run(state.segmenter, settings, test, folder, device) if test else {}


def step_cost(settings: RoadSettings, device: torch.device) -> Cost:
    """Of one update with these settings."""
    classes = settings.data.classes
    state, _ = _initial_state(settings, torch.full((classes,), 1 / classes), device)
    return cost_of_step(state, _labelled_size(settings), settings.data.target_size, settings)


def _labelled_size(settings: RoadSettings) -> tuple[int, int]:
    """(height, width). The oracle's labelled images are the target's, and have its size."""
    data = settings.data
    return data.target_size if settings.method == "oracle" else data.source_size


def _initial_state(
    settings: RoadSettings, label_shares: Tensor, device: torch.device
) -> tuple[TrainState, LoadReport | None]:
    """Network, discriminator and optimisers at step 0, as functions of the seed."""
    seed_torch(settings.seed, "network")
    network, report = _first_network(settings, device)
    groups = parameter_groups(network, settings)
    return build_state(network, groups, label_shares, settings, device), report


def _first_network(
    settings: RoadSettings, device: torch.device
) -> tuple[nn.Module, LoadReport | None]:
    """Of `start`, where there is one, or of the weights; with a report of published weights."""
    if settings.start is None:
        if METHODS[settings.method].teacher is not None:
            raise InputError(
                f"Expected start, a run folder or a checkpoint, with the method "
                f"{settings.method}. Got: none."
            )
        return build_network(settings)
    start = load_model(Path(settings.start).expanduser(), device)
    if lines := differences(_shape(settings), _shape(start.settings)):
        raise InputError(
            f"Expected the network of {settings.start}. Got:\n  "
            + "\n  ".join(lines)
            + "\nSet what is there, or start from another run."
        )
    auxiliaries = settings.adaptation.auxiliary, start.settings.adaptation.auxiliary
    if auxiliaries.count(None) != 1:
        return start.network, None
    # One of the two has an auxiliary head, which is left out, or new.
    network = random_network(settings)
    assert isinstance(network, DeepLabV2)
    tensors = start.network.state_dict()
    return network, load_tensors(network, tensors, settings.start, require_main_head=True)


def _shape(settings: RoadSettings) -> dict[str, Any]:
    """What a network's tensors and images depend on: neither initial weights nor rates."""
    network = settings.network.model_dump(exclude={"weights", "backbone_lr"})
    return {"network": network, "data": {"classes": settings.data.classes}}


def _training_frames(settings: RoadSettings) -> tuple[list[Frame], list[Frame]]:
    """(labelled, unlabelled): for the oracle, the labelled ones are the target's."""
    data, method = settings.data, METHODS[settings.method]
    if data.target is None and (method.adapts or settings.method == "oracle"):
        raise InputError(f"Expected data.target for the method {settings.method}. Got: none.")
    labelled = data.target if settings.method == "oracle" else data.source
    assert labelled is not None
    source = []
    if not method.without_source:
        source = require_labels(load_frames(labelled), labelled)
    if not method.adapts:
        return source, []
    assert data.target is not None
    return source, without_labels(load_frames(data.target))


def _list_fingerprint(frames: list[Frame]) -> str:
    """Of ids and the sizes of images and labels; the target's list has no labels."""
    if not frames:
        return ""
    return fingerprint(
        [(f.id, f.image.stat().st_size, f.label.stat().st_size if f.label else 0) for f in frames]
    )


def _batches(images: RoadImages, settings: RoadSettings, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, len(images), settings.batch_size):
        stop = min(start + settings.batch_size, len(images))
        batch = torch.stack([images[SampleKey(index, 0)]["image"] for index in range(start, stop)])
        yield batch.to(device, memory_format=memory_format(settings))


def _label_shares(frames: list[Frame], classes: int) -> Tensor:
    """(classes,) float64, of the labelled pixels."""
    counts = torch.zeros(256, dtype=torch.int64)
    for frame in frames[:: max(1, len(frames) // LABELS_TO_COUNT)]:
        label = torch.from_numpy(read_label(frame, classes))
        counts += torch.bincount(label.flatten(), minlength=256)
    if not counts[:classes].any():
        raise InputError(
            f"Expected pixels of the {classes} classes in the source labels. Got: none; the "
            f"first is {frames[0].label}."
        )
    return counts[:classes].double() / counts[:classes].sum()


def _score_run(
    network: nn.Module,
    settings: RoadSettings,
    test: list[Frame],
    folder: RunFolder,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    summaries = {}
    # last comes last: its summary says that the run is done
    for name, file in (("selected", folder.selected), ("last", folder.last)):
        if file.is_file():
            checkpoint = load_checkpoint(file)
            network.load_state_dict(checkpoint.weights)
            confusion = evaluate(network, settings, test, device)
            about = {
                "method": settings.method,
                "seed": settings.seed,
                "step": checkpoint.step,
                "images": len(test),
                "data": settings.data.test,
            }
            out = folder.path / "evaluation" / name
            summaries[name] = write_evaluation(confusion, settings.data.classes, out, about)
    return summaries
