"""The columns of `measurements.csv`, and numbers of the whole set."""

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from fundus_uda.clinic.crops import REGION
from fundus_uda.masks.measurements import measure
from fundus_uda.segmentation.quality import QUALITY

STATUSES = ("ok", "flagged", "no_disc", "network_unsure", "unreadable")
"""Status of a photograph. All but "ok" are to be checked."""
MEASURED = ("ok", "flagged")
"""Statuses of the photographs that have an outline and measurements."""
BEFORE = ("before_dice_cup", "before_dice_disc")


@cache
def columns() -> tuple[str, ...]:
    """Return the names of the columns of `measurements.csv`."""
    measures = measure(np.zeros((1, 1), np.uint8))
    return (
        "image",
        "status",
        "reason",
        "flags",
        "laterality",
        *measures,
        *QUALITY,
        *BEFORE,
        *REGION,
    )


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of photographs in which a disc was found."""
    return table[table["status"].isin(MEASURED)]


def summary_of(table: pd.DataFrame) -> dict[str, Any]:
    """Summarise the whole set.

    Args:
        table: table with the columns `columns()`.

    Returns:
        `images`, the number of rows; the count of each status (`ok`, …); `flags`, from name to
        count; the mean over the measured photographs of each of `QUALITY` and `BEFORE` (None
        without any); and `vertical_cdr`, with mean, std and quartiles.
    """
    rows = measured(table)
    cdr = rows["vertical_cdr"].astype(float)
    distribution: dict[str, Any] = {"mean": cdr.mean(), "std": cdr.std()}
    distribution |= {f"quantile_{q}": cdr.quantile(q / 100) for q in (25, 50, 75)}
    return {
        "images": len(table),
        **{status: int((table["status"] == status).sum()) for status in STATUSES},
        "flags": dict(Counter(" ".join(rows["flags"]).split()).most_common()),
        **{name: or_none(rows[name].astype(float).mean()) for name in (*QUALITY, *BEFORE)},
        "vertical_cdr": {name: or_none(value) for name, value in distribution.items()},
    }


def or_none(value: Any) -> float | None:
    """Convert a number for JSON, which has no NaN: NaN becomes None."""
    return None if np.isnan(value) else float(value)
