"""Samples: one photograph each, with its masks if there are any."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from fundus_uda.errors import InputError
from fundus_uda.masks.nifti import NIFTI_SUFFIXES
from fundus_uda.paths import is_file

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm",
)  # fmt: skip
"""Suffixes of the image files that are read; of a GIF, its first frame."""


MAX_MEGAPIXELS = 178
"""Largest size of an image that Pillow reads; beyond it, a file may be made to fill the memory."""


LONGEST_ID = 200
"""Largest number of bytes of an id, to which suffixes are added."""


@dataclass(frozen=True)
class Sample:
    """One photograph, with the mask files of one annotation if there are any."""

    id: str
    image: Path
    masks: tuple[Path, ...] = ()
    encoding: str = ""
    """Encoding of the masks, by which `data.mask_files` reads them."""
    around_disc: bool = False
    """Whether the photograph is a whole one, which is cropped around the disc by its masks."""
    stereo: bool = False
    """Whether the file may be a stereo pair, whose left half is the photograph."""


Found = Sample | str
"""Item of a listing: a sample, or a fault in words for the user."""


def has_masks(sample: Sample) -> bool:
    """Check whether all mask files of a sample exist; a layout may only presume them."""
    return bool(sample.masks) and all(is_file(path) for path in sample.masks)


def require_masks(samples: list[Sample], uri: str) -> list[Sample]:
    """Return the samples if all of them have masks.

    Args:
        samples: samples to check.
        uri: data URI of the samples, for the error.

    Raises:
        InputError: a sample has no mask, or its mask file does not exist.
    """
    lacking = [sample for sample in samples if not has_masks(sample)]
    if lacking:
        wanted = [str(p) for p in lacking[0].masks if not p.is_file()]
        raise InputError(
            f"Expected a mask for each of the {len(samples)} photographs at {uri}. "
            f"Got: none for {len(lacking)}, of which the first is {lacking[0].image}"
            + (f" (looked for {wanted[0]})." if wanted else ".")
            + " Add the masks, or use this set as a target only."
        )
    return samples


def without_masks(samples: list[Sample]) -> list[Sample]:
    """Return the samples without a trace of their masks, so that adaptation cannot read them."""
    return [replace(sample, masks=(), encoding="", around_disc=False) for sample in samples]


def images_in(folder: Path) -> list[Path]:
    """List the image files directly in a folder, sorted, without hidden files."""
    return images_among(folder.iterdir())


def masks_in(folder: Path) -> list[Path]:
    """List the masks directly in a folder, sorted, without hidden files.

    They are images, and NIfTI files whose name no image has: `predict` writes each mask as both.
    """
    images = images_in(folder)
    named = {path.stem for path in images}
    slices = [path for path in folder.iterdir() if is_nifti(path) and stem_of(path) not in named]
    return sorted([*images, *slices])


def is_nifti(path: Path) -> bool:
    """Check whether a file is a NIfTI by its name, and not hidden."""
    return path.name.lower().endswith(NIFTI_SUFFIXES) and not path.name.startswith(".")


def stem_of(path: Path) -> str:
    """Return a file's name without its suffix, or without both of `.nii.gz`."""
    return Path(path.stem).stem if path.name.lower().endswith(".nii.gz") else path.stem


def images_among(paths: Iterable[Path]) -> list[Path]:
    """List the image files among paths, sorted, without hidden files."""
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def may_name_a_file(id_: str) -> bool:
    """Check whether results can be named after an id, on any operating system."""
    try:
        size = len(id_.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return (
        size <= LONGEST_ID
        and id_.strip() not in ("", ".", "..")
        and not set(id_) & set('/\\:*?"<>|\0')
    )


def refusal(error: Exception) -> str:
    """Say in a few words why a library refused an image."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_MEGAPIXELS} megapixels that are read"
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def first_duplicates(named: Iterable[tuple[str, Path]]) -> tuple[Path, Path] | None:
    """Return the first two files of one name, whose results could not be told apart, if any."""
    first: dict[str, Path] = {}
    for name, path in named:
        if name in first:
            return first[name], path
        first[name] = path
    return None


def listed_folders(folder: Path) -> str:
    """List the names of the folders in a folder, " (a, b and 3 more)"; "" for none."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f" ({', '.join(names[:5])}{more})" if names else ""
