"""A table before it is trained: its runs, their settings, hours and costs."""

from pathlib import Path

import pandas as pd
import torch

from fundus_uda.config.read import Profile
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.experiments.reproduce import rows_of, run_settings
from fundus_uda.experiments.tables import Application, Row
from fundus_uda.output import note

SHOWN = {
    "method": "method",
    "start": "start",
    "start_checkpoint": "checkpoint",
    "steps": "steps",
    "batch_size": "batch",
    "segmenter.lr": "lr",
    "discriminator.lr": "D lr",
    "adaptation.adversarial_weight": "adversarial",
    "adaptation.regulariser_weight": "regulariser",
    "affinity.neighbors": "neighbors",
}
"""Settings that tell the runs of a table apart, and their column titles."""


def list_runs(
    application: Application,
    table: str,
    out: Path,
    device: torch.device,
    seeds: int = 3,
    profile: Profile = "cpu",
    overrides: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """List the runs of a table with their settings, hours and state; nothing is trained.

    One step of the first run is measured on the device. Hours of the others follow from it by the
    count of their operations.

    The arguments are those of `reproduce`.

    Returns:
        A row per run: run, title, experiment, the settings in `SHOWN`, hours, state ("finished",
        "begun" or "missing") and paper.

    Raises:
        InputError: an unknown table or row, or wrong settings.
    """
    planned = [
        (f"{name}-seed{seed}", row, run_settings(application, row, seed, out, overrides))
        for name, row in rows_of(application, table, profile, overrides, only).items()
        if isinstance(row, Row)
        for seed in range(min(row.seeds or seeds, seeds))
    ]
    first = planned[0][2]
    note(f"Measuring a step of {planned[0][0]} on {device}, by which the hours are estimated.")
    per_gflop = application.step_seconds(first, device) / application.step_cost(first).gflops
    gflops: dict[str, float] = {}
    listed = []
    for run, row, settings in planned:
        if row.title not in gflops:
            gflops[row.title] = application.step_cost(settings).gflops
        folder = RunFolder(out / run)
        state = "begun" if folder.path.is_dir() else "missing"
        flat = pd.json_normalize(settings.model_dump(mode="json")).iloc[0]
        listed.append(
            {
                "run": run,
                "title": row.title,
                "experiment": row.experiment,
                **{title: flat.get(key) for key, title in SHOWN.items()},
                "hours": round(settings.steps * gflops[row.title] * per_gflop / 3600, 2),
                "state": "finished" if folder.is_finished else state,
                "paper": row.paper.text if row.paper else "",
            }
        )
    return pd.DataFrame(listed)


def list_costs(
    application: Application,
    table: str,
    profile: Profile = "cpu",
    overrides: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Count the cost of a step of each row of a table; nothing is trained.

    The arguments are those of `reproduce`.

    Returns:
        A row per row of the table: row, title, gflops_of_the_paper, gflops_counted_alike (see
        `cost.forward_gmacs`), their difference in percent, and of a training step gflops and
        peak_megabytes (see `cost.Cost`).

    Raises:
        InputError: an unknown table or row, or wrong settings.
    """
    counted = []
    for name, row in rows_of(application, table, profile, overrides, only).items():
        if isinstance(row, Row):
            settings = application.read_settings(row.experiment, [*overrides, *row.overrides])
            cost = application.step_cost(settings)
            same_task = row.paper is not None and bool(row.paper.scores)
            paper = row.paper_gflops if same_task else None
            counted.append(
                {
                    "row": name,
                    "title": row.title,
                    "gflops_of_the_paper": paper,
                    "gflops_counted_alike": round(cost.forward_gmacs, 1),
                    "difference": None
                    if paper is None
                    else round(100 * (cost.forward_gmacs / paper - 1), 1),
                    "gflops_of_a_step": round(cost.gflops, 1),
                    "peak_megabytes": round(cost.peak_megabytes),
                }
            )
    return pd.DataFrame(counted)
