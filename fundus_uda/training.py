"""The composition root: settings to data, network and state, to `engine.loop.run`, to scores."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from torch import Tensor, nn

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.masks import CLASSES
from fundus_uda.data.samples import Sample, require_masks, without_masks
from fundus_uda.data.seeded import FundusImages
from fundus_uda.data.transforms import (
    plain_transforms,
    random_transforms,
    read_sample,
    strong_transforms,
    teaching_transforms,
)
from fundus_uda.engine import loop
from fundus_uda.engine.checkpoint import fingerprint, load_checkpoint, resume
from fundus_uda.engine.cost import Cost, cost_of_step
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.runlog import RunFolder, require_empty
from fundus_uda.engine.selection import SelectionScore, selection_score
from fundus_uda.engine.state import (
    ParameterGroup,
    TrainState,
    build_state,
    memory_format,
    trained_network,
)
from fundus_uda.evaluation import evaluate, write_evaluation
from fundus_uda.model import Model, load_model
from fundus_uda.networks import deeplab_v3plus, input_statistics
from fundus_uda.settings import FundusSettings


def train(
    settings: FundusSettings, out: Path, device: torch.device, continue_run: bool = False
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
        InputError: wrong data, settings or folder.
        WorkError: a loss is not finite; a teacher was sure of no pixel.
    """
    folder = RunFolder(out)
    if continue_run:
        folder.require_checkpoint()
    else:
        require_empty(out)
    source, target = _training_samples(settings)
    test = _test_samples(settings)
    data = {"source": _list_fingerprint(source), "target": _list_fingerprint(target)}
    labelled, unlabelled, plain = _transforms(settings)
    size = settings.data.size
    source_images = FundusImages(source, size, labelled) if source else None
    target_images = FundusImages(target, size, unlabelled) if target else None

    state = initial_state(settings, _label_shares(source_images), device)
    if continue_run:
        resume(folder.last, state, settings, data)
        folder.rewind(state.step)
    else:
        folder.begin(settings, device)  # only now that all input was readable

    def score() -> SelectionScore:
        images = _plain_batches(target_images, plain, settings, device)
        network = trained_network(state, settings)
        return selection_score(network, images, state.label_shares, settings.affinity.neighbors)

    loop.run(
        state,
        source_images,
        target_images,
        settings,
        folder,
        score if target_images is not None else None,
        data,
    )
    return _score_run(state.segmenter, settings, test, folder, device) if test else {}


def initial_state(
    settings: FundusSettings, label_shares: Tensor | None, device: torch.device
) -> TrainState:
    """Network, discriminator and optimisers at step 0, as functions of the seed.

    Args:
        settings: of the run.
        label_shares: (3,) of each class in the labels; None, without labels, for those that the
            network of `start` learnt from.
        device: where to train.

    Raises:
        InputError: see `deeplab_v3plus`.
    """
    network = settings.network
    seed_torch(settings.seed, "network")
    if settings.start is None:
        segmenter = deeplab_v3plus(
            network.encoder, network.weights, len(CLASSES), network.output_stride
        )
    else:
        model = _start(settings, device)
        segmenter = model.segmenter
        label_shares = model.label_shares if label_shares is None else label_shares
    assert label_shares is not None  # settings without a source have a start
    groups = _parameter_groups(segmenter, settings)
    return build_state(segmenter, groups, label_shares, settings, device)


def step_cost(settings: FundusSettings, device: torch.device) -> Cost:
    """Of one update with these settings."""
    state = initial_state(settings, torch.full((len(CLASSES),), 1 / len(CLASSES)), device)
    square = (settings.data.size, settings.data.size)
    return cost_of_step(state, square, square, settings)


def _start(settings: FundusSettings, device: torch.device) -> Model:
    assert settings.start is not None
    model = load_model(Path(settings.start).expanduser(), device)
    ours, theirs = settings.network, model.settings.network
    if (ours.encoder, ours.output_stride) != (theirs.encoder, theirs.output_stride):
        raise InputError(
            f"Expected the network of {settings.start}, {theirs.encoder} at output stride "
            f"{theirs.output_stride}. Got: network.encoder={ours.encoder}, "
            f"network.output_stride={ours.output_stride}."
        )
    return model


def _label_shares(images: FundusImages | None) -> Tensor | None:
    """(3,) float64: the mean over the labelled images."""
    if images is None:
        return None
    labels = [np.asarray(item["label"]).ravel() for item in images.cached]
    counts = sum(np.bincount(label, minlength=len(CLASSES)) for label in labels)
    return torch.tensor(counts / np.sum(counts))


def _transforms(settings: FundusSettings) -> tuple[Compose, Compose, Compose]:
    """Of labelled images, of unlabelled ones, and without randomness."""
    statistics = input_statistics(settings.network.encoder)
    strong = settings.data.augmentation == "strong"
    labelled = strong_transforms(*statistics) if strong else random_transforms(*statistics)
    teaching = METHODS[settings.method].teacher == "mean"
    unlabelled = teaching_transforms(*statistics) if teaching else random_transforms(*statistics)
    return labelled, unlabelled, plain_transforms(*statistics)


def _training_samples(settings: FundusSettings) -> tuple[list[Sample], list[Sample]]:
    """(labelled, unlabelled): for the oracle, the labelled ones are the target's."""
    data, method = settings.data, METHODS[settings.method]
    if data.target is None and (method.adapts or settings.method == "oracle"):
        raise InputError(f"Expected data.target for the method {settings.method}. Got: none.")
    if settings.method == "oracle":
        assert data.target is not None
        return require_masks(load_samples(data.target, data.target_annotation), data.target), []
    source = []
    if data.source is not None and not method.without_source:
        source = require_masks(load_samples(data.source, data.source_annotation), data.source)
    if not method.adapts:
        return source, []
    assert data.target is not None
    return source, without_masks(load_samples(data.target))


def _test_samples(settings: FundusSettings) -> list[Sample]:
    """All readable: a damaged one is not to be found after the training."""
    data = settings.data
    if data.test is None:
        return []
    samples = require_masks(load_samples(data.test, data.target_annotation), data.test)
    for sample in samples:
        read_sample(sample)
    return samples


def _list_fingerprint(samples: list[Sample]) -> str:
    """Of ids, image sizes and the contents of masks; the target's list has no masks."""
    if not samples:
        return ""
    return fingerprint(
        [
            (s.id, s.image.stat().st_size, [sha256(m.read_bytes()).hexdigest() for m in s.masks])
            for s in samples
        ]
    )


def _parameter_groups(segmenter: nn.Module, settings: FundusSettings) -> list[ParameterGroup]:
    encoder = list(segmenter.encoder.parameters())  # type: ignore[union-attr]
    inside = set(map(id, encoder))
    head = [p for p in segmenter.parameters() if id(p) not in inside]
    return [ParameterGroup(encoder, 1.0), ParameterGroup(head, settings.segmenter.head_lr_factor)]


def _plain_batches(
    images: FundusImages | None, plain: Compose, settings: FundusSettings, device: torch.device
) -> Iterator[Tensor]:
    assert images is not None
    for start in range(0, len(images), settings.batch_size):
        stop = min(start + settings.batch_size, len(images))
        batch = torch.stack([plain(dict(images.cached[i]))["image"] for i in range(start, stop)])
        yield batch.to(device, memory_format=memory_format(settings))


def score_on_target(
    model: Model, samples: list[Sample], settings: FundusSettings, device: torch.device
) -> SelectionScore:
    """The selection score of a trained network, computed as in a run with these settings.

    Args:
        model: of any run.
        samples: photographs; masks are not read.
        settings: of the run.
        device: where to predict.
    """
    plain = plain_transforms(*input_statistics(model.settings.network.encoder))
    images = FundusImages(without_masks(samples), model.settings.data.size, plain)
    batches = _plain_batches(images, plain, settings, device)
    neighbors = settings.affinity.neighbors
    return selection_score(model.segmenter, batches, model.label_shares, neighbors)


def _score_run(
    segmenter: nn.Module,
    settings: FundusSettings,
    test: list[Sample],
    folder: RunFolder,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    summaries = {}
    # last comes last: its summary says that the run is done
    for name, file in (("selected", folder.selected), ("last", folder.last)):
        if file.is_file():
            checkpoint = load_checkpoint(file)
            segmenter.load_state_dict(checkpoint.weights)
            about = {
                "method": settings.method,
                "seed": settings.seed,
                "step": checkpoint.step,
                "data": settings.data.test,
                "annotation": settings.data.target_annotation,
                "goes_on": settings.start is not None,
                "augmentation": settings.data.augmentation,
            }
            table = evaluate(segmenter, settings, test, device)
            summaries[name] = write_evaluation(table, folder.path / "evaluation" / name, about)
    return summaries
