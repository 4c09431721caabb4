"""A run, written once for every application: refuse, prepare, begin or resume, train, score."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from fundus_uda.affinity import fused
from fundus_uda.engine import distributed
from fundus_uda.engine.batches import Batch, SeededDataset
from fundus_uda.engine.checkpoint import (
    load_checkpoint,
    require_same_settings,
    resume,
    save_checkpoint,
)
from fundus_uda.engine.device import configure
from fundus_uda.engine.following import follow, require_installed, write_panel
from fundus_uda.engine.loop import train_loop
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.selection import competes, selection_score
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import TrainState, require_finite_weights, trained_network
from fundus_uda.engine.step import adaptation_step
from fundus_uda.engine.teacher import class_thresholds
from fundus_uda.errors import InputError, RunError
from fundus_uda.output import note
from fundus_uda.unfinished import locked

SettingsT = TypeVar("SettingsT", bound=EngineSettings)
TestT = TypeVar("TestT")
Summary = dict[str, Any]


class LabelMatch(Protocol):
    """Source that shows the labels of the target in the target's own proportions.

    They are estimated anew at each snapshot, so that they are a function of the step.
    """

    def estimate(self, network: nn.Module) -> Tensor:
        """Estimate how the target's labels are distributed, from a network's predictions."""
        ...

    def show(self, target_labels: Tensor) -> dict[str, float | str]:
        """Make the source's images follow an estimate; return a row for `label_match.csv`."""
        ...


@dataclass(frozen=True)
class Prepared(Generic[TestT]):
    """Everything that a run needs, read and checked before the first step.

    Args:
        state: networks and optimisers at step 0.
        source: labelled images; None if the method uses none.
        target: unlabelled images; None for a method that does not adapt.
        selection_images: function that returns batches (B, 3, H, W) of all target images on the
            device, without random transforms; None without a target.
        data: fingerprints of what is at the addresses of the settings (see `checkpoint.ADDRESSES`),
            kept in the checkpoints.
        test: data that `evaluate` scores on; None for none.
        match: match of the source's labels to the target's; None for a source as it is.
        report: report on the weight file that was loaded; "" for none.
        panel: function that draws a network's predictions for a few target images, (H, W, 3)
            uint8; None for a run that has no such picture.
    """

    state: TrainState
    source: SeededDataset | None
    target: SeededDataset | None
    selection_images: Callable[[], Iterable[Tensor]] | None
    data: dict[str, str]
    test: TestT | None
    match: LabelMatch | None = None
    report: str = ""
    panel: Callable[[nn.Module], Any] | None = None


def train(
    settings: SettingsT,
    out: Path,
    device: torch.device,
    prepare: Callable[[SettingsT, torch.device], Prepared[TestT]],
    evaluate: Callable[[TrainState, TestT, Path], Summary],
    continue_run: bool = False,
) -> dict[str, Summary]:
    """Train one run into a folder, then score its kept checkpoints on the test data, if any.

    In a run of several processes (see `distributed`), the first one writes and scores.

    Args:
        settings: settings of the run.
        out: new or empty folder, or that of the run to continue.
        device: device to train on.
        prepare: function that reads and checks all data of the run, test data too, and builds
            its state.
        evaluate: function that scores the segmenter of a state on the test data into a folder
            and returns the summary.
        continue_run: whether to resume from the last checkpoint; the result equals an unbroken
            run's.

    Returns:
        Summaries of "last" and, if a snapshot was selected, of "selected"; empty without test data
        and in all processes but the first.

    Raises:
        InputError: wrong data, settings or folder.
        RunError: a loss is not finite; a teacher is confident of no pixel.
        Stopped: by a signal, between two steps.
    """
    folder, is_first = RunFolder(out), distributed.rank() == 0
    with ExitStack() as stack:
        with distributed.together():
            if is_first:
                folder.require_ready(continue_run)
                require_installed(settings.follow)
                stack.enter_context(locked(out))
            _require_slices_to_train_on(settings)
            configure(device)
            run = prepare(settings, device)
            if "panels" in settings.follow and run.panel is None:
                raise InputError(
                    "Expected a run that can draw target images, for follow=panels. Got: one "
                    "without a target, or of streets. Leave panels out."
                )
            if is_first:
                _begin(run, settings, device, folder)
        if distributed.processes() > 1:
            run.state.load_state_dict(distributed.from_first(run.state.state_dict))
        _train(run, settings, folder)
        summaries: dict[str, Summary] = {}
        if is_first:
            summaries = _score_kept(run, evaluate, folder)
            folder.finish()
    return summaries


def _require_slices_to_train_on(settings: EngineSettings) -> None:
    """Check that the processes of this run can share its batches."""
    if settings.batch_size % (processes := distributed.processes()):
        raise InputError(
            f"Expected a batch_size that the {processes} processes of this run can share evenly. "
            f"Got: {settings.batch_size}. Set batch_size to a multiple of {processes}."
        )
    # Frozen statistics are of no batch, synchronised ones of all processes' images.
    of_batch = settings.adaptation.batch_norm_statistics != "frozen"
    fewest = settings.fewest_images * processes
    if settings.batch_norm == "local" and of_batch and settings.batch_size < fewest:
        raise InputError(
            f"Expected a batch_size of at least {fewest} with batch_norm=local and {processes} "
            f"processes, as DeepLabv3+ cannot normalise over one image. Got: "
            f"{settings.batch_size}. Set batch_size={fewest}, or batch_norm=synchronised."
        )


def _begin(
    run: Prepared[TestT], settings: EngineSettings, device: torch.device, folder: RunFolder
) -> None:
    """Begin the run, or go on from its last checkpoint, once all input has been read."""
    if folder.is_begun:
        resume(folder.last, run.state, settings, run.data)
        folder.note_other_environment(device)
        folder.write_settings(settings)
        folder.rewind(run.state.step)
    else:
        require_same_settings(settings, folder)
        folder.begin(settings, device, run.report)
    if device.type == "cpu" and METHODS[settings.method].discriminator_input is not None:
        note(f"The affinity space is computed by {fused.which()}.")


def _train(run: Prepared[TestT], settings: EngineSettings, folder: RunFolder) -> None:
    """Train from `run.state.step` to `settings.steps`, with snapshots on the way."""
    state, classes = run.state, len(run.state.label_shares)
    has_teacher = METHODS[settings.method].teacher is not None
    # A run whose teacher has not labelled a single pixel learns nothing and takes no snapshot.
    has_labelled = state.step > 0

    def update(source: Batch | None, target: Batch | None) -> dict[str, float]:
        nonlocal has_labelled
        losses = adaptation_step(state, source, target, settings)
        has_labelled = has_labelled or losses.get("pseudo_label_fraction", 0) > 0
        return losses

    def save_to(path: Path, keeps_previous: bool = False) -> None:
        if distributed.rank() == 0:
            save_checkpoint(path, state, settings, run.data, classes, keeps_previous)

    def snapshot() -> bool:
        if has_teacher and not has_labelled:
            raise RunError(
                f"Expected pixels that the network of {settings.start} is confident of, to learn "
                f"from. Got: none in {state.step} steps. Start from a network that fits the "
                f"target better, or lower adaptation.teacher.confidence."
            )
        require_finite_weights(state)
        if run.selection_images is not None:
            select = partial(_select, state, run.selection_images, settings, folder)
            state.selected_step, state.selected_score = distributed.from_first(select)
            if state.selected_step == state.step:
                save_to(folder.selected)
        matched = state.step < settings.steps and _match_labels(run, settings, folder)
        save_to(folder.last, keeps_previous=True)
        if distributed.rank() == 0:
            if "panels" in settings.follow and run.panel is not None:
                write_panel(folder, state.step, run.panel(trained_network(state, settings)))
            follow(folder, settings.follow)
        return matched

    def save() -> bool:
        if has_teacher and not has_labelled:  # the first snapshot of an unbroken run says so
            return False
        require_finite_weights(state)
        save_to(folder.last, keeps_previous=True)
        return True

    if state.target_labels is not None and run.match is not None:  # a resumed run's
        run.match.show(state.target_labels)
    # The checkpoint of step 0 holds what is estimated here.
    begins = distributed.from_first(lambda: not folder.is_begun)
    if begins and METHODS[settings.method].class_balanced:
        state.class_thresholds = distributed.from_first(partial(_class_thresholds, run, settings))
    if begins and settings.start is not None:
        _match_labels(run, settings, folder)
    if begins:
        save_to(folder.last)
    title = settings.method
    train_loop(state, run.source, run.target, settings, folder, title, update, snapshot, save)


def _match_labels(run: Prepared[TestT], settings: EngineSettings, folder: RunFolder) -> bool:
    """Estimate the target's labels and make the source follow; return whether it does."""
    if run.match is None:
        return False
    estimate = partial(run.match.estimate, trained_network(run.state, settings))
    run.state.target_labels = distributed.from_first(estimate)
    row = run.match.show(run.state.target_labels)
    if distributed.rank() == 0:
        folder.log("label_match", {"step": run.state.step, **row})
    return True


def _class_thresholds(run: Prepared[TestT], settings: EngineSettings) -> Tensor:
    """Find the thresholds of class-balanced pseudo-labels, over all target images."""
    assert run.state.teacher is not None
    assert run.selection_images is not None
    fraction = settings.adaptation.teacher.keep_fraction
    assert fraction is not None  # the settings' own check
    classes = len(run.state.label_shares)
    return class_thresholds(run.state.teacher, run.selection_images(), classes, fraction)


def _select(
    state: TrainState,
    images: Callable[[], Iterable[Tensor]],
    settings: EngineSettings,
    folder: RunFolder,
) -> tuple[int | None, float]:
    """Score the network on the target images; return the step of the best score so far, and it."""
    network = trained_network(state, settings)
    score = selection_score(network, images(), state.label_shares, settings.affinity.neighbors)
    folder.log("snapshots", {"step": state.step, **asdict(score)})
    if competes(score, state.step, settings.steps) and score.mean_affinity > state.selected_score:
        return state.step, score.mean_affinity
    return state.selected_step, state.selected_score


def _score_kept(
    run: Prepared[TestT], evaluate: Callable[[TrainState, TestT, Path], Summary], folder: RunFolder
) -> dict[str, Summary]:
    """Score each kept checkpoint, "selected" before "last"."""
    summaries: dict[str, Summary] = {}
    if run.test is None:
        return summaries
    for name, file in (("selected", folder.selected), ("last", folder.last)):
        if file.is_file():
            checkpoint = load_checkpoint(file)
            run.state.segmenter.load_state_dict(checkpoint.weights)
            run.state.step = checkpoint.step
            summaries[name] = evaluate(run.state, run.test, folder.evaluation(name))
    return summaries
