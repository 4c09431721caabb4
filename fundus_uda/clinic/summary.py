"""The columns of `measurements.csv`, and figures of the whole set."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from fundus_uda.clinic.crops import REGION
from fundus_uda.clinic.measurements import measure
from fundus_uda.clinic.trust import TRUST

STATUSES = ("ok", "flagged", "no_disc", "unreadable")
BEFORE = ("before_dice_cup", "before_dice_disc")
MEASURES = tuple(measure(np.zeros((1, 1), np.uint8)))
COLUMNS = ("image", "status", "reason", "flags", *MEASURES, *TRUST, *BEFORE, *REGION)
"""Of `measurements.csv`."""


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of photographs in which a disc was found."""
    return table[table["status"].isin(["ok", "flagged"])]


def summary_of(table: pd.DataFrame) -> dict[str, Any]:
    """Of the whole set.

    Args:
        table: with `COLUMNS`.

    Returns:
        `images`, the count of each status (`ok`, …), `flags` (name to count), the means over the
        measured photographs of `TRUST` and `BEFORE` (None without any), and of `vertical_cdr`
        the mean, std, and quartiles.
    """
    rows = measured(table)
    cdr = rows["vertical_cdr"].astype(float)
    distribution: dict[str, Any] = {"mean": cdr.mean(), "std": cdr.std()}
    distribution |= {f"quantile_{q}": cdr.quantile(q / 100) for q in (25, 50, 75)}
    return {
        "images": len(table),
        **{status: int((table["status"] == status).sum()) for status in STATUSES},
        "flags": dict(Counter(" ".join(rows["flags"]).split()).most_common()),
        **{name: or_none(rows[name].astype(float).mean()) for name in (*TRUST, *BEFORE)},
        "vertical_cdr": {name: or_none(value) for name, value in distribution.items()},
    }


def or_none(value: Any) -> float | None:
    """A number for JSON, which knows no NaN."""
    return None if np.isnan(value) else float(value)
