"""What a reader said of each photograph: the CSV that the page exports."""

import csv
import io
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from fundus_uda.errors import InputError

VERDICTS = ("accept", "reject")
COLUMNS = ("image", "review", "comment")


def read_reviews(file: Path, images: Collection[str]) -> pd.DataFrame:
    """Read a CSV of reviews, with commas or, as spreadsheets may save it, semicolons.

    Args:
        file: CSV in UTF-8 with the columns image, review and comment; others are left out.
        images: ids of the photographs that may be reviewed.

    Returns:
        Columns `COLUMNS`, all text: review is one of `VERDICTS`, or "" for a comment alone.

    Raises:
        InputError: no such CSV; a line with an image that is not among `images` or was there
            before, or with another review. Ids are not quoted, since they may name a patient.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = ";" if head.count(";") > head.count(",") else ","
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(table.line_num, row) for row in table]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"Expected a CSV of reviews in UTF-8 at {file}. Got: {type(error).__name__}. "
            "Export it with the button of report.html."
        ) from None
    lacking = [name for name in COLUMNS if name not in (table.fieldnames or [])]
    if lacking:
        raise InputError(
            f"Expected the columns {', '.join(COLUMNS)} in {file}. Got: none named "
            f"{', '.join(lacking)}. Export it with the button of report.html."
        )
    rows: dict[str, tuple[str, str, str]] = {}
    for line, row in lines:
        image, review, comment = ((row[name] or "").strip() for name in COLUMNS)
        faults = {
            "an image that is not in the report": image not in images,
            "an image that an earlier line has": image in rows,
            f"another review than {', '.join(VERDICTS)} or none": review not in ("", *VERDICTS),
        }
        if fault := next((text for text, applies in faults.items() if applies), ""):
            raise InputError(
                f"Expected reviews of the photographs of this report in {file}, a line for each. "
                f"Got: {fault}, in line {line}. Correct the line or leave it out."
            )
        rows[image] = (image, review, comment)
    return pd.DataFrame(rows.values(), columns=list(COLUMNS), dtype=str)
