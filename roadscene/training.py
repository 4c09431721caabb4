"""Training of a road-scene run: its data, network and state for `engine.train`, and its scores."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fundus_uda.engine import train as engine
from fundus_uda.engine.batches import SampleKey, evenly_spaced
from fundus_uda.engine.checkpoint import require_same_network
from fundus_uda.engine.fingerprint import fingerprint_files, fingerprint_first_network
from fundus_uda.engine.methods import training_domains
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.state import TrainState, build_state, memory_format
from fundus_uda.errors import InputError
from fundus_uda.experiments.cost import (
    Cost,
    FakeTensors,
    cost_of_step,
    forward_gmacs,
    seconds_of_step,
)
from fundus_uda.output import progress
from fundus_uda.paths import user_path
from roadscene.class_match import ClassMatch
from roadscene.classes import CLASSES
from roadscene.data import (
    Frame,
    load_frames,
    read_label,
    require_labels,
    require_readable_header,
    without_labels,
)
from roadscene.deeplab_v2 import DeepLabV2
from roadscene.evaluation import about, evaluate, write_evaluation
from roadscene.images import RoadImages, read_frame
from roadscene.model import (
    Model,
    build_network,
    load_model,
    normalisation,
    parameter_groups,
    random_network,
)
from roadscene.settings import DeepLabV2Settings, RoadSettings
from roadscene.weights import LoadReport, load_tensors

LABELS_TO_COUNT = 500
"""Largest number of source labels, evenly spread, that suffice to estimate the class shares."""


def train(
    settings: RoadSettings, out: Path, device: torch.device, continue_run: bool = False
) -> dict[str, dict[str, Any]]:
    """Train one run into a folder, then score its kept checkpoints on the test split, if set.

    Arguments, returns and errors are those of `engine.train.train`.
    """

    def score(state: TrainState, test: list[Frame], folder: Path) -> dict[str, Any]:
        model = Model(state.segmenter, settings, device, state.step)
        told = about(model, settings.data.test, test)
        return write_evaluation(evaluate(model, test), settings.data.classes, folder, told)

    return engine.train(settings, out, device, prepare, score, continue_run)


def prepare(settings: RoadSettings, device: torch.device) -> engine.Prepared[list[Frame]]:
    """Read and check all data of a run, and build its state at step 0.

    Test frames are read whole, and so are training frames that fit into memory (see `RoadImages`).
    Of more, which may be tens of thousands, only the headers are read.

    Raises:
        InputError: data that cannot be read or do not fit, or see `build_network`.
    """
    data = settings.data
    labelled, unlabelled = training_domains(settings.method, data.source, data.target)
    source = require_labels(load_frames(labelled), labelled) if labelled else []
    target = without_labels(load_frames(unlabelled)) if unlabelled else []
    test = require_labels(load_frames(data.test), data.test) if data.test else None
    for frame in (*source, *target):
        require_readable_header(frame.image)
    for frame in test or ():
        read_frame(frame, len(CLASSES))
    counted = source or require_labels(load_frames(data.source), data.source)
    state, report = _initial_state(settings, _label_shares(counted, data.classes), device)
    expected = normalisation(settings)
    sources, targets = (
        RoadImages(frames, size, data.classes, expected) if frames else None
        for frames, size in ((source, _labelled_size(settings)), (target, data.target_size))
    )
    match = None
    if sources is not None and data.source_classes == "target" and settings.method != "oracle":
        assert data.target is not None
        seen = targets
        if seen is None:  # source only looks at the target, too
            target = without_labels(load_frames(data.target))
            seen = RoadImages(target, data.target_size, data.classes, expected)
        counts = np.stack(
            [
                _class_counts(frame, data.classes)
                for frame in progress(source, "labels counted", len(source))
            ]
        )
        match = ClassMatch(sources, counts, partial(_batches, seen, settings, device))
    return engine.Prepared(
        state=state,
        source=sources,
        target=targets,
        selection_images=partial(_batches, targets, settings, device) if targets else None,
        data=_fingerprints(settings, source, target, test or []),
        test=test,
        match=match,
        report=str(report or ""),
    )


def step_cost(settings: RoadSettings) -> Cost:
    """Count the cost of one training step with these settings, on tensors without values.

    The forward passes are counted with the two ASPP branches that the released code computes, as in
    the paper's Table V.
    """
    released = settings
    if isinstance(settings.network, DeepLabV2Settings):
        network = settings.network.model_copy(update={"aspp_branches": 2})
        released = settings.model_copy(update={"network": network})
    device, sizes = torch.device("cpu"), _sizes(settings)
    counted, state = (_random_state(each, device) for each in (released, settings))
    with FakeTensors():
        macs = forward_gmacs(counted, *sizes, settings)
        return Cost(macs, *cost_of_step(state, *sizes, settings))


def step_seconds(settings: RoadSettings, device: torch.device) -> float:
    """Measure the seconds of one training step with these settings."""
    return seconds_of_step(_random_state(settings, device), *_sizes(settings), settings)


def _random_state(settings: RoadSettings, device: torch.device) -> TrainState:
    """Build a state whose cost is that of a run, without the weights that the run starts from."""
    network, classes = random_network(settings), settings.data.classes
    shares = torch.full((classes,), 1 / classes)
    return build_state(network, parameter_groups(network, settings), shares, settings, device)


def _sizes(settings: RoadSettings) -> tuple[tuple[int, int], tuple[int, int]]:
    return _labelled_size(settings), settings.data.target_size


def _labelled_size(settings: RoadSettings) -> tuple[int, int]:
    """Return (height, width) of the labelled images; those of the oracle are the target's."""
    data = settings.data
    return data.target_size if settings.method == "oracle" else data.source_size


def _initial_state(
    settings: RoadSettings, label_shares: Tensor, device: torch.device
) -> tuple[TrainState, LoadReport | None]:
    """Build network, discriminator and optimisers at step 0, as functions of the seed."""
    seed_torch(settings.seed, "network")
    network, report = _first_network(settings, device)
    groups = parameter_groups(network, settings)
    return build_state(network, groups, label_shares, settings, device), report


def _first_network(
    settings: RoadSettings, device: torch.device
) -> tuple[nn.Module, LoadReport | None]:
    """Return the network of `start`, if set, or of the weights, and a report on their tensors."""
    if settings.start is None:
        return build_network(settings)
    start = load_model(user_path(settings.start), device, which=settings.start_checkpoint)
    require_same_network(settings.start, _shape(settings), _shape(start.settings))
    auxiliaries = settings.adaptation.auxiliary, start.settings.adaptation.auxiliary
    if auxiliaries.count(None) != 1:
        return start.network, None
    # Only one of the two has an auxiliary head, which is left out or initialised.
    network = random_network(settings)
    assert isinstance(network, DeepLabV2)
    tensors = start.network.state_dict()
    return network, load_tensors(network, tensors, settings.start, require_main_head=True)


def _shape(settings: RoadSettings) -> dict[str, Any]:
    """Return the settings that fix a network's tensors and images: no initial weights, no rates."""
    network = settings.network.model_dump(exclude={"weights", "backbone_lr"})
    return {"network": network, "data": {"classes": settings.data.classes}}


def _fingerprints(
    settings: RoadSettings, source: list[Frame], target: list[Frame], test: list[Frame]
) -> dict[str, str]:
    """Compute the fingerprints of the data of a run, and of the file of its first network."""
    lists = {"source": source, "target": target, "test": test}
    return fingerprint_first_network(
        settings.start, settings.start_checkpoint, settings.network.weights
    ) | {
        name: fingerprint_files(
            (frame.id, frame.image, [frame.label] if frame.label else []) for frame in frames
        )
        for name, frames in lists.items()
    }


def _batches(images: RoadImages, settings: RoadSettings, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, len(images), settings.batch_size):
        stop = min(start + settings.batch_size, len(images))
        batch = torch.stack([images[SampleKey(index, 0)]["image"] for index in range(start, stop)])
        yield batch.to(device, memory_format=memory_format(settings))


def _label_shares(frames: list[Frame], classes: int) -> Tensor:
    """Compute the share of each class among the labelled pixels, (classes,) float64."""
    some = evenly_spaced(frames, LABELS_TO_COUNT)
    counts = torch.from_numpy(sum(_class_counts(frame, classes) for frame in some))
    if not counts.any():
        raise InputError(
            f"Expected pixels of the {classes} classes in the source labels. Got: none; the "
            f"first is {frames[0].label}."
        )
    return counts.double() / counts.sum()


def _class_counts(frame: Frame, classes: int) -> NDArray[np.int64]:
    """Count the pixels of each class in a label, (classes,)."""
    return np.bincount(read_label(frame, classes).ravel(), minlength=256)[:classes]
