"""Inspection of a dataset before any training: its content and its problems."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fundus_uda.data.datasets import list_samples, load_samples
from fundus_uda.data.field import field_of_view, shows_round_field
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph, require_same_size
from fundus_uda.data.samples import (
    IMAGE_SUFFIXES,
    Sample,
    images_in,
    is_nifti,
    masks_in,
    require_masks,
)
from fundus_uda.engine.batches import evenly_spaced
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND, CUP
from fundus_uda.masks.measurements import vertical_cup_to_disc_ratio
from fundus_uda.masks.nifti import NIFTI_SUFFIXES
from fundus_uda.masks.region import are_whole_photographs, disc_diameter
from fundus_uda.output import group_alike, note, note_passed_over
from fundus_uda.paths import user_path

LOOKED_AT = 20
"""Largest number of samples, evenly spaced, that tell crops from whole photographs."""


@dataclass
class Inspection:
    """Content and problems of all samples at a data URI."""

    images: int = 0
    with_mask: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    """Count of photographs by size, "WIDTHxHEIGHT"."""
    disc_shares: list[float] = field(default_factory=list)
    """Disc area over image area, of each mask."""
    disc_diameters: list[float] = field(default_factory=list)
    """Disc diameter over the shorter side of the image, of each mask."""
    vertical_cdrs: list[float] = field(default_factory=list)
    """Vertical cup-to-disc ratio of each mask; empty if none has a cup."""
    clipped_pixels: int = 0
    """Cup pixels that lay outside the disc."""
    problems: list[str] = field(default_factory=list)


def inspect(uri: str, annotation: str | None = None) -> Inspection:
    """Read every photograph and mask at a data URI; collect problems instead of stopping.

    Args:
        uri: `KIND:PATH` or `KIND:PATH#SPLIT`.
        annotation: one of the layout's `annotations`; None for its default.

    Raises:
        InputError: nothing can be listed at all (see `list_samples`).
    """
    found = Inspection()
    samples, faults = list_samples(uri, annotation)
    masked = [sample for sample in samples if sample.masks]
    problems: list[tuple[str, tuple[Path, ...]]] = []
    for sample in samples:
        found.images += 1
        if masked and not sample.masks:
            text = f"Expected a mask for {sample.image}. Got: none. Add it."
            problems.append((text, (sample.image,)))
        try:
            _inspect_one(sample, found)
        except InputError as problem:
            problems.append((str(problem), (sample.image, *sample.masks)))
    for folder in {sample.image.parent for sample in samples}:
        note_passed_over(sorted({*folder.iterdir()} - {*images_in(folder)}))
    problems += _faults_of_masks(uri, samples)
    found.problems = faults + group_alike(problems)
    if found.vertical_cdrs and not any(found.vertical_cdrs):
        found.vertical_cdrs = []
        found.problems.append(_no_cup(uri, len(found.disc_shares)))
    return found


def _faults_of_masks(uri: str, samples: list[Sample]) -> list[tuple[str, tuple[Path, ...]]]:
    """Report what `masks/` of a `folder:` data URI holds and nobody reads."""
    kind, _, path = uri.partition(":")
    if Path(uri).is_dir():
        kind, path = "folder", uri
    masks = user_path(path.removesuffix("#all")) / "masks"
    if kind != "folder" or not masks.is_dir():
        return []
    used = {mask for sample in samples for mask in sample.masks}
    without_image: list[tuple[str, tuple[Path, ...]]] = [
        (
            f"Expected an image for each mask, with its stem. Got: none for {mask}. Rename or "
            f"remove the mask.",
            (mask,),
        )
        for mask in masks_in(masks)
        if mask not in used
    ]
    read = {*images_in(masks), *filter(is_nifti, masks.iterdir())}
    others = sorted(
        path.name for path in masks.iterdir() if path not in read and not path.name.startswith(".")
    )
    if not others:
        return without_image
    named = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
    known = ", ".join((*IMAGE_SUFFIXES, *NIFTI_SUFFIXES))
    not_read = (
        f"Expected files {known} alone, and no folders, in {masks}. Got: "
        f"{len(others)} that are not read: {named}. Convert or move them."
    )
    return [(not_read, ()), *without_image]


def _inspect_one(sample: Sample, found: Inspection) -> None:
    photograph = read_photograph(sample.image, sample.stereo)
    found.sizes[f"{photograph.shape[2]}x{photograph.shape[1]}"] += 1
    if not sample.masks:
        return
    mask, clipped = read_mask(sample)
    require_same_size(photograph, mask.shape, sample)
    found.with_mask += 1
    found.clipped_pixels += clipped
    share = float(np.mean(mask != BACKGROUND))
    if share == 0:
        raise InputError(
            f"Expected an optic disc in {sample.masks[0]}. Got: an empty mask. Draw the disc, or "
            f"leave the photograph out."
        )
    found.disc_shares.append(share)
    found.disc_diameters.append(disc_diameter(mask))
    found.vertical_cdrs.append(vertical_cup_to_disc_ratio(mask))


def shows_whole_photographs(samples: list[Sample]) -> bool:
    """Check whether samples are whole photographs, by the masks of some of them.

    Raises:
        InputError: an unreadable mask.
    """
    some = evenly_spaced(samples, LOOKED_AT)
    diameters = [disc_diameter(read_mask(sample)[0]) for sample in some]
    return are_whole_photographs([diameter for diameter in diameters if diameter])


def load_labelled(uri: str, annotation: str | None = None) -> list[Sample]:
    """Load the samples at a data URI as networks see them: with masks, cropped if they are whole.

    Raises:
        InputError: see `load_samples`, `require_masks` and `cropped_if_whole`.
    """
    return cropped_if_whole(require_masks(load_samples(uri, annotation), uri), uri)


def cropped_if_whole(samples: list[Sample], uri: str) -> list[Sample]:
    """Return labelled samples, to be cropped around the disc by their masks if they are whole.

    Networks train on and are scored on crops: in a whole photograph the disc fills 1 percent. Where
    samples are cropped, a line on the terminal says so.

    Raises:
        InputError: an unreadable mask.
    """
    if not shows_whole_photographs(samples):
        return samples
    note(f"{uri} shows whole photographs: they are cropped around the disc by their masks.")
    return [replace(sample, around_disc=True) for sample in samples]


def require_cups(samples: list[Sample], uri: str) -> list[Sample]:
    """Return samples to learn from unless all their masks are of the disc alone.

    Raises:
        InputError: discs without a single cup, or an unreadable mask.
    """
    discs = 0
    for sample in samples:
        mask, _ = read_mask(sample)
        if (mask == CUP).any():
            return samples
        discs += bool((mask != BACKGROUND).any())
    if discs:
        raise InputError(_no_cup(uri, discs))
    return samples


def _no_cup(uri: str, discs: int) -> str:
    return (
        f"Expected a cup (2) in some mask of {uri}. Got: none in {discs} masks with a disc. Was "
        f"the disc alone annotated? Then the set serves as a target or as test data of the disc, "
        f"and not to learn from."
    )


def require_crops(samples: list[Sample], uri: str) -> list[Sample]:
    """Return photographs without masks if they are crops around the disc.

    Whole photographs show the round field: most of some have dark corners.

    Raises:
        InputError: whole photographs, or an unreadable one.
    """
    some = evenly_spaced(samples, LOOKED_AT)
    photographs = (read_photograph(s.image, s.stereo).permute(1, 2, 0).numpy() for s in some)
    whole = [shows_round_field(field_of_view(photograph)) for photograph in photographs]
    if sum(whole) > len(whole) / 2:
        folder = samples[0].image.parent
        raise InputError(
            f"Expected crops around the disc at {uri}. Got: whole photographs. Cut them with "
            f"`fundus-uda crop {folder} --out DIR`, then give folder:DIR."
        )
    return samples
