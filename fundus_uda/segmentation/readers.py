"""What a model's scores are read beside: how far readers differ, and whether it saw the set."""

from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.data.datasets import LAYOUTS, load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample, has_masks, without_masks
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.fingerprint import digest, fingerprint_files
from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import CUP
from fundus_uda.masks.dice import dice_cup_disc
from fundus_uda.masks.measurements import vertical_cup_to_disc_ratio
from fundus_uda.weights import RENDERED

CLOSE = 0.05
"""Largest difference of the vertical ratio at which two readers are said to agree."""
SUSPECT = 0.6
"""Vertical ratio from which a photograph is often called suspect of glaucoma."""
Seen = Literal["with labels", "without labels", "no", "unknown"]
"""Whether a network saw a set in training."""


def agreement_of_ratios(
    found: "pd.Series[float]", reader: "pd.Series[float]"
) -> dict[str, float | int | None]:
    """Compare vertical cup-to-disc ratios with those of a reader, as benchmarks of tools do.

    Args:
        found: ratios by photograph; NaN for none.
        reader: the reader's, of the same photographs.

    Returns:
        Over the photographs with both ratios (None without any): `vertical_cdr_error`, the mean
        absolute difference; `vertical_cdr_images`, their number; `vertical_cdr_within_0.05`, the
        share with a difference of at most `CLOSE`; and `vertical_cdr_crosses_up` and
        `vertical_cdr_crosses_down`, the shares that are at least `SUSPECT` where the reader's is
        below it, and the other way round.
    """
    both = found.notna() & reader.notna()
    found, reader = found[both].astype(float), reader[both].astype(float)
    difference = (found - reader).abs()
    up = (found >= SUSPECT) & (reader < SUSPECT)
    down = (found < SUSPECT) & (reader >= SUSPECT)
    shares: dict[str, pd.Series[Any]] = {
        "vertical_cdr_error": difference,
        "vertical_cdr_within_0.05": difference <= CLOSE + 1e-9,
        "vertical_cdr_crosses_up": up,
        "vertical_cdr_crosses_down": down,
    }
    means = {name: float(of.mean()) if len(of) else None for name, of in shares.items()}
    return {"vertical_cdr_images": len(found), **means}


def disagreement_of_readers(uri: str) -> dict[str, Any] | None:
    """Measure how far the readers of a dataset differ from each other.

    Args:
        uri: data URI of the dataset.

    Returns:
        None for a dataset with one reader. Else `pairs`, the pairs of annotations that were
        compared (see `datasets.Layout.readers`); over all photographs and pairs `dice_cup`,
        `dice_disc` and `dice_mean`, `cup_area_ratio` (the smaller over the larger), and the entries
        of `agreement_of_ratios`, in which each pair crosses upwards or downwards by its order.
        None, too, if all pairs are the same, pixel for pixel: then the copy at hand holds one
        annotation alone.

    Raises:
        InputError: see `load_samples` and `read_mask`.
    """
    kind = parse_data_uri(uri, {name: layout.splits for name, layout in LAYOUTS.items()})[0]
    pairs = list(combinations(LAYOUTS[kind].readers, 2))
    if not pairs:
        return None
    rows = []
    by_reader = {name: load_samples(uri, name) for name in LAYOUTS[kind].readers}
    for first, second in pairs:
        for one, other in zip(by_reader[first], by_reader[second], strict=True):
            if has_masks(one) and has_masks(other):
                rows.append(_compared(read_mask(one)[0], read_mask(other)[0]))
    table = pd.DataFrame(rows)
    if table.empty or (table["dice_mean"] == 1).all():
        return None
    areas = table[["cup_area", "cup_area_other"]].sum()
    return {
        "pairs": [list(pair) for pair in pairs],
        **{name: float(table[name].mean()) for name in ("dice_cup", "dice_disc", "dice_mean")},
        "cup_area_ratio": float(areas.min() / areas.max()) if areas.max() else None,
        **agreement_of_ratios(table["vertical_cdr"], table["vertical_cdr_other"]),
    }


def _compared(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    cup, disc = dice_cup_disc(one, other)
    return {
        "dice_cup": cup,
        "dice_disc": disc,
        "dice_mean": (cup + disc) / 2,
        "cup_area": float((one == CUP).sum()),
        "cup_area_other": float((other == CUP).sum()),
        "vertical_cdr": vertical_cup_to_disc_ratio(one),
        "vertical_cdr_other": vertical_cup_to_disc_ratio(other),
    }


def seen_in_training(path: Path, which: CheckpointName, samples: list[Sample]) -> Seen:
    """Tell whether a network, or one that it went on from, was trained on exactly these files.

    Sets are told by their bytes, whatever their place. A part of a set, or a copy in another form,
    counts as another set.

    Args:
        path: MODEL: run folder, folder that `adapt` wrote, or a file.
        which: checkpoint of a run folder.
        samples: the set, with its masks.

    Returns:
        "unknown" for an exported file, but that of the network that comes along, which has seen no
        photograph; and where a run that it went on from is gone and no other one saw the set.
    """
    prints = {
        name: fingerprint_files((sample.id, sample.image, sample.masks) for sample in some)
        for name, some in (("labels", samples), ("images", without_masks(samples)))
    }
    answer: Seen = "no"
    file: Path | None = checkpoint_file(path, which)
    while file is not None and not _comes_along(file):
        if file.suffix != ".pt" or not file.is_file():
            return "unknown" if answer == "no" else answer
        checkpoint = load_checkpoint(file)
        data = checkpoint.data
        if prints["labels"] in (data.get("source"), data.get("outlined")):
            return "with labels"
        if prints["images"] == data.get("target"):
            answer = "without labels"
        file = _first_network(checkpoint.settings)
    return answer


def _comes_along(file: Path) -> bool:
    return file.is_file() and digest(file) == digest(RENDERED)


def _first_network(settings: dict[str, Any]) -> Path | None:
    """Return the checkpoint that a run started from; None if it started from none."""
    if settings.get("start") is None:
        return None
    start = Path(settings["start"])
    try:
        return checkpoint_file(start, settings.get("start_checkpoint", "last"))
    except InputError:
        return start / "last.pt"  # which is not there
