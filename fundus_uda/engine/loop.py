"""The training loop: load, update, log, snapshot."""

from collections.abc import Callable, Generator

from fundus_uda.engine import distributed
from fundus_uda.engine.batches import Batch, SeededDataset, batch_keys, batch_stream
from fundus_uda.engine.device import retain_freed_memory
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.settings import RunSettings
from fundus_uda.engine.state import State, memory_format
from fundus_uda.errors import RunError
from fundus_uda.output import Progress, note
from fundus_uda.stops import Stopped, reacting

WORKERS = 2
"""Number of processes that load the batches of a domain for a GPU, which would else wait for them
about as long as it computes. On a CPU the step itself keeps the cores busy."""


def train_loop(
    state: State,
    source: SeededDataset | None,
    target: SeededDataset | None,
    settings: RunSettings,
    folder: RunFolder,
    title: str,
    update: Callable[[Batch | None, Batch | None], dict[str, float]],
    snapshot: Callable[[], bool],
    save: Callable[[], bool],
) -> None:
    """Run the steps from `state.step` to `settings.steps`: load, update, log and snapshot.

    A signal (see `stops`) lets the step end and saves it: resumed, the run equals an unbroken one.

    Args:
        state: state whose step `update` raises.
        source: dataset of the first batch; None for none.
        target: dataset of the second batch; None for none.
        settings: settings of the run.
        folder: run folder in which the metrics are logged.
        title: title of the progress.
        update: function that makes one step on two batches and returns the losses by name.
        snapshot: function called every `settings.snapshot_every` steps and after the last one. It
            returns whether the source has changed, so that its batches loaded ahead are stale.
        save: function that saves a checkpoint between snapshots, and returns whether it did.

    Raises:
        Stopped: by a signal, once the step is saved.
    """
    layout = memory_format(settings)
    on_gpu, workers = state.device.type == "cuda", settings.workers
    if state.device.type == "cpu":
        retain_freed_memory()
    if workers is None:
        workers = WORKERS if on_gpu else 0
    domains = {"source": source, "target": target}

    def opened(domain: str, dataset: SeededDataset) -> Generator[Batch, None, None]:
        """Open the stream of a domain at the state's step."""
        return batch_stream(
            dataset,
            batch_size=settings.batch_size,
            seed=settings.seed,
            domain=domain,
            start=state.step,
            shuffle=settings.shuffle,
            workers=workers,
            pin_memory=on_gpu,
        )

    def loaded(domain: str) -> Batch | None:
        """Load the next batch of a domain, if it has data."""
        return next(streams[domain]).to(state.device, layout) if domain in streams else None

    saved = state.step
    streams = {name: opened(name, data) for name, data in domains.items() if data is not None}
    signals: list[int] = []
    with Progress(title, settings.steps, state.step) as progress, reacting(signals.append):
        try:
            while state.step < settings.steps:
                batches = loaded("source"), loaded("target")
                try:
                    losses = update(*batches)
                except RunError:
                    _tell_images(domains, settings, state.step)
                    raise
                if distributed.rank() == 0:
                    folder.log("metrics", {"step": state.step, **losses})
                text = "  ".join(f"{name[:3]} {loss:.3f}" for name, loss in losses.items())
                progress.update(state.step, text)
                # Processes end after the same step, whichever of them has got the signal.
                stopped_by = distributed.largest(signals[0] if signals else 0)
                if state.step % settings.snapshot_every == 0 or state.step == settings.steps:
                    if snapshot() and source is not None:
                        streams["source"].close()
                        streams["source"] = opened("source", source)
                    saved = state.step
                elif stopped_by and save():
                    saved = state.step
                if stopped_by:
                    raise Stopped(stopped_by)
        except KeyboardInterrupt:
            note(
                f"Stopped at step {state.step} of {settings.steps} of {folder.path}. Its last "
                f"checkpoint is that of step {saved}."
            )
            raise
        finally:
            for stream in streams.values():  # and with them the processes that load their batches
                stream.close()


def _tell_images(
    domains: dict[str, SeededDataset | None], settings: RunSettings, step: int
) -> None:
    """Name the images of a step that failed on the terminal, and in no file."""
    for domain, dataset in domains.items():
        if dataset is not None:
            place = (settings.batch_size, settings.seed, domain, step, settings.shuffle)
            names = ", ".join(dataset.name(key) for key in batch_keys(len(dataset), *place))
            note(f"The {domain} images of step {step}: {names}.")
