"""CSV files that list photographs: one reading of all of them."""

import difflib
import warnings
from pathlib import Path

import pandas as pd

from fundus_uda.errors import InputError
from fundus_uda.output import note

NAMES = {
    "image": ("image", "path"),
    "id": ("id",),
    "mask": ("mask",),
    "split": ("split",),
    "laterality": ("laterality",),
}
"""Columns of `read_listed`, and the names by which a CSV may call them."""
ALSO_CALLED = {"label": "mask", "segmentation": "mask"}
"""Names of other programs, which are refused: to pass over them would lose masks."""
DELIMITERS = ",;\t|"


def read_listed(path: Path, mend: bool = False) -> pd.DataFrame:
    """Read a CSV that lists photographs, with any usual delimiter.

    Columns of other names are not read, and a line says so. What is in the file is quoted only in
    the names of columns of a file that has `image` or `path`, since it may describe a patient.

    Args:
        path: CSV in UTF-8 with a column `image` or `path` and, if there are any, `id`, `mask`,
            `split` and `laterality`.
        mend: whether a first line without `image` and `path` may be quoted.

    Returns:
        Columns image, id, mask, split, laterality (str, "" for none) and line, the line in the
        file.

    Raises:
        InputError: no such columns, not UTF-8, or rows of other lengths.
    """
    try:
        first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that it drops
            table = pd.read_csv(
                path, sep=max(DELIMITERS, key=first.count), dtype=str, keep_default_na=False,
                index_col=False, skip_blank_lines=False, encoding="utf-8-sig", header=0,
            )  # fmt: skip
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # pandas raises the last two
        if isinstance(error, FileNotFoundError):
            raise
        raise InputError(
            f"Expected {path} to be a CSV in UTF-8, with as many cells in each line as in the "
            f"first. Got: {type(error).__name__}. Save it anew."
        ) from None
    given = {str(column).strip().lower(): column for column in table.columns}
    found = {
        column: given[name] for column, names in NAMES.items() for name in names if name in given
    }
    if "image" not in found:
        quoted = f": {', '.join(map(str, table.columns))}" if mend else ""
        raise InputError(
            f"Expected {path} to have a column `image` or `path` and, if there are any, `id`, "
            f"`mask` and `split`. Got: a first line without{quoted}. Rename its columns."
        )
    for column in table.columns:
        if (meant := _meant(str(column), set(NAMES) - set(found))) is not None:
            raise InputError(
                f"Expected the columns image, id, mask and split in {path}. Got: {str(column)!r}. "
                f"Rename it to {meant!r}."
            )
    if unread := [str(column) for column in table.columns if column not in found.values()]:
        note(f"{path.name}: not read are the columns {', '.join(unread)}.")
    read = pd.DataFrame({name: table[column] for name, column in found.items()})
    read = read.reindex(columns=list(NAMES), fill_value="").fillna("")
    read["line"] = read.index + 2
    return read[read[list(NAMES)].agg("".join, axis=1) != ""]


def _meant(column: str, free: set[str]) -> str | None:
    """Return the column that another one was probably meant to be."""
    name = column.strip().lower()
    near = difflib.get_close_matches(name, sorted(free), n=1, cutoff=0.75)
    meant = ALSO_CALLED.get(name) or (near[0] if near else None)
    return meant if meant in free else None
