"""Crops around the disc for the default recipe; each set of photographs is written once."""

import shutil
from pathlib import Path

import pandas as pd
from PIL import Image

from fundus_uda.clinic.crops import CROPS, is_whole, write_crops, write_labelled_crops
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.samples import Sample
from fundus_uda.engine.batches import evenly_spaced
from fundus_uda.errors import InputError
from fundus_uda.files import write_picture, write_table
from fundus_uda.masks.region import DiscRegion
from fundus_uda.paths import user_path
from fundus_uda.recipe.plan import Task
from fundus_uda.unfinished import is_unfinished

LOOKED_AT = 8
"""Largest number of photographs that are searched to tell if a dataset is of crops."""


def write_source(whole: list[Sample], out: Path) -> None:
    """Write the crops of a source of whole photographs, or go on with them.

    Args:
        whole: samples of the source, with masks; empty for a source of crops, which is left as it
            is.
        out: folder of the adaptation; gets `source`.
    """
    folder = out / "source"
    if whole and not is_whole(folder):
        _clear_unless_unfinished(folder)
        write_labelled_crops(whole, folder)


def write_target(task: Task, dataset: list[Sample]) -> list[Path]:
    """Write the crops to adapt to into `target` in the task's folder, or go on with them.

    Args:
        task: arguments of `adapt`.
        dataset: samples of the target, if it is the data URI of a dataset.

    Returns:
        Paths of the photographs to outline.

    Raises:
        InputError: no photograph shows a disc, or a dataset is of whole photographs.
    """
    folder = task.out / "target"
    photographs = [user_path(path) for path in task.target]
    if not is_whole(folder):
        _clear_unless_unfinished(folder)
    if not is_whole(folder) and dataset:
        _write_dataset(dataset, folder)
    elif not is_whole(folder):
        table = write_crops(photographs, folder, task.key, recursive=task.recursive, ids=task.ids)
        if not (table["status"] == "ok").any():
            shutil.rmtree(folder)
            raise InputError(
                f"Expected photographs that show the optic disc. Got: {len(table)} photographs, "
                f"none with one. The first: {table['reason'][0]}"
            )
    return [folder / "images"] if dataset else photographs


def _clear_unless_unfinished(folder: Path) -> None:
    """Remove what a stopped adaptation left, unless it can be gone on with."""
    if not is_unfinished(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _write_dataset(samples: list[Sample], folder: Path) -> None:
    """Write the photographs of a dataset, which must be crops already, without their masks.

    Some of them, evenly spaced, are searched for the disc to check that.
    """
    (folder / "images").mkdir(parents=True)
    looked_at = evenly_spaced(range(len(samples)), LOOKED_AT)
    found: list[DiscRegion] = []
    for number, sample in enumerate(samples):
        photograph = read_photograph(sample.image, sample.stereo).permute(1, 2, 0).numpy()
        if number in looked_at and (region := locate_disc(photograph)) is not None:
            found.append(region)
        write_picture(folder / "images" / f"{sample.id}.png", Image.fromarray(photograph))
    if sum(not region.is_crop for region in found) > len(looked_at) / 2:
        raise InputError(
            "Expected --target KIND:PATH of crops around the disc. Got: whole photographs. "
            "Give the folder of the photographs, or cut them with `fundus-uda crop` first."
        )
    if not found:
        raise InputError(
            f"Expected photographs that show the optic disc. Got: none in the {len(looked_at)} "
            f"that were searched, of {len(samples)}."
        )
    ids = [sample.id for sample in samples]
    write_table(folder / CROPS, pd.DataFrame({"image": ids, "status": "ok", "reason": ""}))
