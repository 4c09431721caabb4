"""What a dataset holds and what is wrong with it, found before any training."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fundus_uda.clinic.measurements import vertical_cup_to_disc_ratio
from fundus_uda.data.datasets import list_samples
from fundus_uda.data.masks import BACKGROUND, read_mask
from fundus_uda.data.samples import Sample, images_in
from fundus_uda.data.transforms import read_photograph, require_same_size
from fundus_uda.engine.errors import InputError


@dataclass
class Inspection:
    """Of all samples at an address."""

    images: int = 0
    with_mask: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    """"WIDTHxHEIGHT" of the photographs."""
    disc_shares: list[float] = field(default_factory=list)
    """Disc area over image area, of each mask."""
    vertical_cdrs: list[float] = field(default_factory=list)
    clipped_pixels: int = 0
    """Cup pixels that lay outside the disc."""
    problems: list[str] = field(default_factory=list)


def inspect(address: str, annotation: str | None = None) -> Inspection:
    """Read every photograph and mask at an address; collect problems instead of stopping.

    Args:
        address: `KIND:PATH` or `KIND:PATH#SPLIT`.
        annotation: whose masks; None for the default.

    Raises:
        InputError: nothing can be listed at all (see `list_samples`).
    """
    found = Inspection()
    samples, found.problems = list_samples(address, annotation)
    masked = [sample for sample in samples if sample.masks]
    for sample in samples:
        found.images += 1
        if masked and not sample.masks:
            found.problems.append(f"Expected a mask for {sample.image}. Got: none. Add it.")
        try:
            _inspect_one(sample, found)
        except InputError as problem:
            found.problems.append(str(problem))
    found.problems += _masks_without_image(address, samples)
    return found


def _masks_without_image(address: str, samples: list[Sample]) -> list[str]:
    """Problems of `folder:` addresses, where a mask belongs to the image of its stem."""
    kind, _, path = address.partition(":")
    masks = Path(path.removesuffix("#all")) / "masks"
    if kind != "folder" or not masks.is_dir():
        return []
    used = {mask for sample in samples for mask in sample.masks}
    return [
        f"Expected an image for each mask, with its stem. Got: none for {mask}. Rename or remove "
        f"the mask."
        for mask in images_in(masks)
        if mask not in used
    ]


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
        found.problems.append(
            f"Expected an optic disc in {sample.masks[0]}. Got: an empty mask. Draw the disc, or "
            f"leave the photograph out."
        )
        return
    found.disc_shares.append(share)
    found.vertical_cdrs.append(vertical_cup_to_disc_ratio(mask))
