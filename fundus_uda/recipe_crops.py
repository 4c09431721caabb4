"""The photographs of the default recipe, as crops around the disc; each set is written once."""

import shutil
from pathlib import Path

import pandas as pd
from PIL import Image

from fundus_uda.clinic.crops import write_crops, write_labelled_crops
from fundus_uda.clinic.localise import DiscRegion, locate_disc
from fundus_uda.data.samples import Sample
from fundus_uda.data.transforms import read_photograph
from fundus_uda.engine.errors import InputError

LOOKED_AT = 8
"""So many photographs of a dataset, or up to twice as many, tell whether they are crops."""


def write_source(whole: list[Sample], out: Path) -> None:
    """Write the crops of a source of whole photographs.

    Args:
        whole: its samples, with masks; none of a source of crops, which is left as it is.
        out: of the adaptation; gets `source` and `source.csv`.
    """
    rows = out / "source.csv"
    if whole and not rows.is_file():
        shutil.rmtree(out / "source", ignore_errors=True)  # of an adaptation that was cut off here
        table = write_labelled_crops(whole, out / "source")
        table.to_csv(rows, index=False)


def write_target(
    target: list[str], dataset: list[Sample], out: Path, key: bytes | None
) -> list[Path]:
    """Write the crops to adapt to.

    Args:
        target: what `adapt` was given.
        dataset: its samples, if it is the address of a dataset.
        out: of the adaptation; gets `target/images` and `target.csv`.
        key: hashes the ids of photographs.

    Returns:
        The photographs to outline.

    Raises:
        InputError: no photograph shows a disc; a dataset of whole photographs.
    """
    folder, rows = out / "target", out / "target.csv"
    photographs = [Path(path).expanduser() for path in target]
    if not rows.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of an adaptation that was cut off here
        if dataset:
            table = _write_dataset(dataset, folder)
        else:
            table = write_crops(photographs, folder, key)
        if not (table["status"] == "ok").any():
            raise InputError(
                f"Expected photographs that show the optic disc. Got: {len(table)} photographs, "
                f"none with one. The first: {table['reason'][0]}"
            )
        table.to_csv(rows, index=False)
    return [folder / "images"] if dataset else photographs


def _write_dataset(samples: list[Sample], folder: Path) -> pd.DataFrame:
    """The photographs of a dataset, which are crops already, without their masks.

    Some of them, evenly spread, are searched for the disc.
    """
    (folder / "images").mkdir(parents=True)
    looked_at = range(0, len(samples), max(1, len(samples) // LOOKED_AT))
    found: list[DiscRegion] = []
    for number, sample in enumerate(samples):
        photograph = read_photograph(sample.image, sample.stereo).permute(1, 2, 0).numpy()
        if number in looked_at and (region := locate_disc(photograph)) is not None:
            found.append(region)
        Image.fromarray(photograph).save(folder / "images" / f"{sample.id}.png")
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
    return pd.DataFrame({"image": ids, "status": "ok", "reason": ""})
