"""Training of a fundus run: the data, network and state that `engine.train` needs, and scores."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.data.inspection import load_labelled, require_crops, require_cups
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.pipeline import Pipeline
from fundus_uda.data.samples import Sample, without_masks
from fundus_uda.data.transforms import (
    PLAIN_ZOOM,
    STRONG_ZOOM,
    eval_transforms,
    plain_transforms,
    strong_transforms,
    weak_strong_transforms,
)
from fundus_uda.engine import train as engine
from fundus_uda.engine.checkpoint import require_same_network
from fundus_uda.engine.fingerprint import fingerprint_files, fingerprint_first_network
from fundus_uda.engine.methods import METHODS, training_domains
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.selection import SelectionScore, selection_score
from fundus_uda.engine.state import TrainState, build_state, encoder_and_head, memory_format
from fundus_uda.errors import InputError
from fundus_uda.experiments.cost import (
    Cost,
    FakeTensors,
    cost_of_step,
    forward_gmacs,
    seconds_of_step,
)
from fundus_uda.masks.classes import CLASSES, Photograph
from fundus_uda.masks.outlines import overlay
from fundus_uda.networks import input_statistics
from fundus_uda.output import note
from fundus_uda.paths import user_path
from fundus_uda.segmentation.evaluation import write_scores
from fundus_uda.segmentation.model import Model, build_network, load_model
from fundus_uda.segmentation.settings import FundusSettings
from fundus_uda.segmentation.size_match import SizeMatch

PANEL_IMAGES = 4
"""Largest number of target images in the picture of a snapshot."""


def train(
    settings: FundusSettings, out: Path, device: torch.device, continue_run: bool = False
) -> dict[str, dict[str, Any]]:
    """Train one run into a folder, then score its kept checkpoints on the test split, if any.

    Arguments, returns and errors are those of `engine.train.train`.
    """

    def score(state: TrainState, test: list[Sample], folder: Path) -> dict[str, Any]:
        model = Model(state.segmenter, settings, device, state.step, state.label_shares)
        return write_scores(model, test, settings.data, folder)

    return engine.train(settings, out, device, prepare, score, continue_run)


def prepare(settings: FundusSettings, device: torch.device) -> engine.Prepared[list[Sample]]:
    """Read and check all data of a run, and build its state at step 0.

    Raises:
        InputError: the data cannot be read or do not fit; see also `deeplab_v3plus`.
    """
    data = settings.data
    labelled, unlabelled = training_domains(settings.method, data.source, data.target)
    oracle = settings.method == "oracle"
    annotation = data.target_annotation if oracle else data.source_annotation
    source = require_cups(load_labelled(labelled, annotation), labelled) if labelled else []
    outlined = []
    if data.outlined is not None:
        outlined = require_cups(load_labelled(data.outlined), data.outlined)
    target = []
    if unlabelled is not None:
        target = require_crops(without_masks(load_samples(unlabelled)), unlabelled)
    test = None
    if data.test is not None:
        test = _others(load_labelled(data.test, data.target_annotation), outlined, data.test)
        for sample in test:
            read_sample(sample)
    labelled_transforms, unlabelled_transforms, plain = _transforms(settings)
    sources = FundusImages(source, data.size, labelled_transforms) if source else None
    targets = FundusImages(target, data.size, unlabelled_transforms) if target else None
    match = None
    if sources is not None and data.source_sizes == "target" and not oracle:
        seen = targets
        if seen is None:  # source only looks at the target's sizes, and at nothing else
            assert data.target is not None
            looked_at = require_crops(without_masks(load_samples(data.target)), data.target)
            seen = FundusImages(looked_at, data.size, plain)
            target = looked_at
        looks = partial(_eval_batches, seen, plain, settings, device)
        aligned = METHODS[settings.method].discriminator_input is not None
        match = SizeMatch(sources, looks, aligned)
    drawn = FundusImages(outlined, data.size, labelled_transforms) if outlined else None
    if sources is not None:
        sources.outlined = drawn
    return engine.Prepared(
        state=initial_state(settings, _label_shares(sources), device),
        source=sources or drawn,
        target=targets,
        selection_images=partial(_eval_batches, targets, plain, settings, device)
        if targets
        else None,
        data=_fingerprints(settings, source, target, test or [], outlined),
        test=test,
        match=match,
        panel=partial(_panel, targets, plain, settings, device) if targets else None,
    )


def _panel(
    images: FundusImages,
    plain: Pipeline,
    settings: FundusSettings,
    device: torch.device,
    network: nn.Module,
) -> Photograph:
    """Draw the outlines in the first target images beside each other, (h, n * h, 3)."""
    batch = next(_eval_batches(images, plain, settings, device))[:PANEL_IMAGES]
    with torch.no_grad():
        masks = network.eval()(batch).max(dim=1).indices.to(torch.uint8).cpu().numpy()
    photographs = [np.asarray(item["image"]).transpose(1, 2, 0) for item in images.cached]
    return np.hstack([overlay(*pair) for pair in zip(photographs, masks, strict=False)])


def _others(test: list[Sample], outlined: list[Sample], uri: str) -> list[Sample]:
    """Return the test photographs that the run does not learn, told by their ids.

    Raises:
        InputError: there is none.
    """
    learnt = {sample.id for sample in outlined}
    left = [sample for sample in test if sample.id not in learnt]
    if len(left) < len(test):
        note(f"{uri}: {len(test) - len(left)} photographs are outlined, and are not scored.")
    if not left:
        raise InputError(
            f"Expected photographs at {uri} beside those of data.outlined, to score. Got: none. "
            f"Set data.test=null, or name others."
        )
    return left


def initial_state(
    settings: FundusSettings, label_shares: Tensor | None, device: torch.device
) -> TrainState:
    """Build network, discriminator and optimisers at step 0, as functions of the seed.

    Args:
        settings: settings of the run.
        label_shares: (3,) share of each class in the labels. None, without labels, takes the shares
            that the network of `start` learnt from.
        device: where to train.

    Raises:
        InputError: see `build_network`.
    """
    network = settings.network
    seed_torch(settings.seed, "network")
    if settings.start is None:
        segmenter = build_network(network, network.weights)
    else:
        model = load_model(user_path(settings.start), device, settings.start_checkpoint)
        theirs = model.settings.network.model_dump(exclude={"weights"})
        ours = network.model_dump(exclude={"weights"})
        require_same_network(settings.start, {"network": ours}, {"network": theirs})
        segmenter = model.network
        label_shares = model.label_shares if label_shares is None else label_shares
    assert label_shares is not None  # settings without a source have a start
    groups = encoder_and_head(segmenter, settings.segmenter.head_lr_factor)
    return build_state(segmenter, groups, label_shares, settings, device)


def step_cost(settings: FundusSettings) -> Cost:
    """Count the cost of one training step with these settings, on tensors without values."""
    state, sizes = _costed(settings, torch.device("cpu"))
    with FakeTensors():
        macs = forward_gmacs(state, *sizes, settings)
        return Cost(macs, *cost_of_step(state, *sizes, settings))


def step_seconds(settings: FundusSettings, device: torch.device) -> float:
    """Measure the seconds of one training step with these settings."""
    state, sizes = _costed(settings, device)
    return seconds_of_step(state, *sizes, settings)


def _costed(
    settings: FundusSettings, device: torch.device
) -> tuple[TrainState, tuple[tuple[int, int], tuple[int, int]]]:
    """Build a state with random weights, and give the sizes of source and target images."""
    network = settings.network.model_copy(update={"weights": "random"})
    settings = settings.model_copy(update={"start": None, "network": network})
    shares = torch.full((len(CLASSES),), 1 / len(CLASSES))
    square = (settings.data.size, settings.data.size)
    return initial_state(settings, shares, device), (square, square)


def score_on_target(
    model: Model, samples: list[Sample], settings: FundusSettings
) -> SelectionScore:
    """Compute the selection score of a trained network, as in a run with these settings.

    Args:
        model: trained model of any run.
        samples: photographs; masks are not read.
        settings: settings of the run.
    """
    plain = eval_transforms(*input_statistics(model.settings.network.encoder))
    images = FundusImages(without_masks(samples), model.settings.data.size, plain)
    batches = _eval_batches(images, plain, settings, model.device)
    neighbors = settings.affinity.neighbors
    return selection_score(model.network, batches, model.label_shares, neighbors)


def _label_shares(images: FundusImages | None) -> Tensor | None:
    """Compute the share of each class in the labelled images, (3,) float64; None without images."""
    if images is None:
        return None
    labels = [np.asarray(item["label"]).ravel() for item in images.cached]
    counts = sum(np.bincount(label, minlength=len(CLASSES)) for label in labels)
    return torch.tensor(counts / np.sum(counts))


def _transforms(settings: FundusSettings) -> tuple[Pipeline, Pipeline, Pipeline]:
    """Choose the transforms of labelled images, of unlabelled images, and of evaluation."""
    statistics = input_statistics(settings.network.encoder)
    strong = settings.data.augmentation == "strong"
    labelled = strong_transforms(*statistics) if strong else plain_transforms(*statistics)
    with_mean_teacher = METHODS[settings.method].teacher == "mean"
    zoom = STRONG_ZOOM if strong else PLAIN_ZOOM
    unlabelled = (
        weak_strong_transforms(*statistics)
        if with_mean_teacher
        else plain_transforms(*statistics, zoom)
    )
    return labelled, unlabelled, eval_transforms(*statistics)


def _fingerprints(
    settings: FundusSettings,
    source: list[Sample],
    target: list[Sample],
    test: list[Sample],
    outlined: list[Sample],
) -> dict[str, str]:
    """Compute the fingerprints of the data of a run, and of the file of its first network."""
    lists = {"source": source, "target": target, "test": test, "outlined": outlined}
    return fingerprint_first_network(
        settings.start, settings.start_checkpoint, settings.network.weights
    ) | {
        name: fingerprint_files((sample.id, sample.image, sample.masks) for sample in samples)
        for name, samples in lists.items()
    }


def _eval_batches(
    images: FundusImages, plain: Pipeline, settings: FundusSettings, device: torch.device
) -> Iterator[Tensor]:
    for start in range(0, len(images), settings.batch_size):
        stop = min(start + settings.batch_size, len(images))
        batch = torch.stack([plain(dict(images.cached[i]))["image"] for i in range(start, stop)])
        yield batch.to(device, memory_format=memory_format(settings))
