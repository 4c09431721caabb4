"""What a sample is: one photograph, and its masks where there are any."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fundus_uda.engine.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Sample:
    """One photograph, with the mask files of one annotation where there are any."""

    id: str
    image: Path
    masks: tuple[Path, ...] = ()
    encoding: str = ""
    """How `data.masks` reads them."""
    stereo: bool = False
    """The file may be a stereo pair; the left half is the photograph."""


Found = Sample | str
"""What a listing gives: a sample, or what is wrong, in words for the user."""


def has_masks(sample: Sample) -> bool:
    """Whether all of its mask files are there; a layout may only presume them."""
    return bool(sample.masks) and all(path.is_file() for path in sample.masks)


def require_masks(samples: list[Sample], address: str) -> list[Sample]:
    """The samples, all of which have masks.

    Raises:
        InputError: naming those that have none, or whose mask file is not there.
    """
    lacking = [sample for sample in samples if not has_masks(sample)]
    if lacking:
        wanted = [str(p) for p in lacking[0].masks if not p.is_file()]
        raise InputError(
            f"Expected a mask for each of the {len(samples)} photographs at {address}. "
            f"Got: none for {len(lacking)}, of which the first is {lacking[0].image}"
            + (f" (looked for {wanted[0]})." if wanted else ".")
            + " Add the masks, or use this set as a target only."
        )
    return samples


def without_masks(samples: list[Sample]) -> list[Sample]:
    """The samples with no trace of their masks, so that adaptation cannot read them."""
    return [replace(sample, masks=(), encoding="") for sample in samples]


def images_in(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted; hidden files are passed over."""
    return images_among(folder.iterdir())


def images_among(paths: Iterable[Path]) -> list[Path]:
    """The image files among paths, sorted; hidden files are passed over."""
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def first_twins(named: Iterable[tuple[str, Path]]) -> tuple[Path, Path] | None:
    """The first two files of one name, by which results could not be told apart."""
    first: dict[str, Path] = {}
    for name, path in named:
        if name in first:
            return first[name], path
        first[name] = path
    return None
