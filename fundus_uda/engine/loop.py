"""The training loop: load, step, log, snapshot, select."""

from collections.abc import Callable
from dataclasses import asdict

from fundus_uda.engine.batches import SeededDataset, batch_stream
from fundus_uda.engine.checkpoint import save_checkpoint
from fundus_uda.engine.config import EngineSettings
from fundus_uda.engine.runlog import RunFolder, progress_bar
from fundus_uda.engine.selection import SelectionScore, competes
from fundus_uda.engine.state import TrainState, memory_format
from fundus_uda.engine.step import adaptation_step


def run(
    state: TrainState,
    source: SeededDataset | None,
    target: SeededDataset | None,
    settings: EngineSettings,
    folder: RunFolder,
    score: Callable[[], SelectionScore] | None,
    data: dict[str, str],
    classes: int,
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
        classes: C, kept in the checkpoints.
    """
    layout = memory_format(settings)
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
    if state.step == 0:
        save_checkpoint(folder.last, state, settings, data, classes)  # resumable from the start
    with progress_bar() as progress:
        task = progress.add_task(
            settings.method, total=settings.steps, completed=state.step, losses=""
        )
        while state.step < settings.steps:
            source_batch, target_batch = (
                None if batches is None else next(batches).to(state.device, layout)
                for batches in (sources, targets)
            )
            losses = adaptation_step(state, source_batch, target_batch, settings)
            folder.log("metrics", {"step": state.step, **losses})
            text = "  ".join(f"{name[:3]} {loss:.3f}" for name, loss in losses.items())
            progress.update(task, completed=state.step, losses=text)
            if state.step % settings.snapshot_every == 0 or state.step == settings.steps:
                if score is not None:
                    _select(state, score(), settings, folder)
                    if state.selected_step == state.step:
                        save_checkpoint(folder.selected, state, settings, data, classes)
                save_checkpoint(folder.last, state, settings, data, classes)


def _select(
    state: TrainState, scored: SelectionScore, settings: EngineSettings, folder: RunFolder
) -> None:
    folder.log("snapshots", {"step": state.step, **asdict(scored)})
    if not competes(scored, state.step, settings.steps):
        return
    if scored.mean_affinity > state.selected_score:
        state.selected_step, state.selected_score = state.step, scored.mean_affinity
