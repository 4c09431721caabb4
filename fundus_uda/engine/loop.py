"""The training loop: load, step, log, snapshot, select."""

from collections.abc import Callable
from dataclasses import asdict

from fundus_uda.engine.batches import Batch, SeededDataset, batch_stream
from fundus_uda.engine.checkpoint import save_checkpoint
from fundus_uda.engine.config import EngineSettings, RunSettings
from fundus_uda.engine.device import keep_freed_memory
from fundus_uda.engine.errors import WorkError
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.runlog import RunFolder, progress_bar
from fundus_uda.engine.selection import SelectionScore, competes
from fundus_uda.engine.state import State, TrainState, memory_format
from fundus_uda.engine.step import adaptation_step


def run(
    state: TrainState,
    source: SeededDataset | None,
    target: SeededDataset | None,
    settings: EngineSettings,
    folder: RunFolder,
    score: Callable[[], SelectionScore] | None,
    data: dict[str, str],
) -> None:
    """Train from `state.step` to `settings.steps`.

    Args:
        state: changed in place.
        source: labelled; None where the method does without.
        target: images alone; None for a method that does not adapt.
        settings: of the run.
        folder: already begun, or rewound to `state.step`.
        score: of the segmenter on the target training images; None without a target.
        data: fingerprints of the image lists, kept in the checkpoints.

    Raises:
        WorkError: a loss is not finite; by a snapshot, a teacher was sure of no pixel at all.
    """
    classes = len(state.label_shares)

    def update(source_batch: Batch | None, target_batch: Batch | None) -> dict[str, float]:
        return adaptation_step(state, source_batch, target_batch, settings)

    def snapshot() -> None:
        if METHODS[settings.method].teacher is not None and not any(folder.logged("taught")):
            raise WorkError(
                f"Expected pixels that the network of {settings.start} is sure of, to learn from. "
                f"Got: none in {state.step} steps. Start from a network that fits the target "
                f"better, or lower adaptation.teacher.confidence."
            )
        if score is not None:
            _select(state, score(), settings, folder)
            if state.selected_step == state.step:
                save_checkpoint(folder.selected, state, settings, data, classes)
        save_checkpoint(folder.last, state, settings, data, classes)

    if state.step == 0:
        save_checkpoint(folder.last, state, settings, data, classes)  # resumable from the start
    advance(state, source, target, settings, folder, settings.method, update, snapshot)


def advance(
    state: State,
    source: SeededDataset | None,
    target: SeededDataset | None,
    settings: RunSettings,
    folder: RunFolder,
    title: str,
    update: Callable[[Batch | None, Batch | None], dict[str, float]],
    snapshot: Callable[[], None],
) -> None:
    """Load, update, log, snapshot, from `state.step` to `settings.steps`.

    Args:
        state: its step is raised by `update`.
        source: of the first batch; None for none.
        target: of the second batch; None for none.
        settings: of the run.
        folder: of the metrics.
        title: of the progress bar.
        update: one step on two batches, to the losses by name.
        snapshot: called every `settings.snapshot_every` steps, and after the last.
    """
    layout = memory_format(settings)
    if state.device.type == "cpu":
        keep_freed_memory()
    sources, targets = (
        None
        if dataset is None
        else batch_stream(
            dataset,
            batch_size=settings.batch_size,
            seed=settings.seed,
            domain=domain,
            start=state.step,
            shuffle=settings.shuffle,
            workers=settings.workers,
            pin_memory=state.device.type == "cuda",
        )
        for domain, dataset in (("source", source), ("target", target))
    )
    with progress_bar() as progress:
        task = progress.add_task(title, total=settings.steps, completed=state.step, losses="")
        while state.step < settings.steps:
            source_batch, target_batch = (
                None if batches is None else next(batches).to(state.device, layout)
                for batches in (sources, targets)
            )
            losses = update(source_batch, target_batch)
            folder.log("metrics", {"step": state.step, **losses})
            text = "  ".join(f"{name[:3]} {loss:.3f}" for name, loss in losses.items())
            progress.update(task, completed=state.step, losses=text)
            if state.step % settings.snapshot_every == 0 or state.step == settings.steps:
                snapshot()


def _select(
    state: TrainState, scored: SelectionScore, settings: EngineSettings, folder: RunFolder
) -> None:
    folder.log("snapshots", {"step": state.step, **asdict(scored)})
    if not competes(scored, state.step, settings.steps):
        return
    if scored.mean_affinity > state.selected_score:
        state.selected_step, state.selected_score = state.step, scored.mean_affinity
