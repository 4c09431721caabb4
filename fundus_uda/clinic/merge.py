"""The results of an archive's parts, merged into one folder."""

from collections import Counter
from pathlib import Path

import pandas as pd

from fundus_uda.clinic.parts import Part, parse_part
from fundus_uda.clinic.predict import FOLDERS, write_tables
from fundus_uda.clinic.report.numbers import read_predictions, reference_to
from fundus_uda.clinic.report.page import write_report
from fundus_uda.clinic.report.summary import columns
from fundus_uda.errors import InputError
from fundus_uda.files import link_or_copy
from fundus_uda.unfinished import require_replaceable, rewritten


def merge_parts(
    parts: list[Path], out: Path, before: Path | None = None, overwrite: bool = False
) -> pd.DataFrame:
    """Merge what `predict` wrote of all parts into one folder, as if it were of one call.

    Files are linked where the file system allows, else copied.

    Args:
        parts: folders that `predict` wrote, each with another part.
        out: new or empty folder, created if needed.
        before: folder of the model before, if `predict` was given one.
        overwrite: whether `out` may hold an earlier merger, which is replaced (see
            `unfinished.require_replaceable`).

    Returns:
        The rows of `measurements.csv`, by id.

    Raises:
        InputError: a folder that `predict` did not write, parts of several models or versions, a
            part that is missing or there twice, or `out` is not empty.
    """
    require_replaceable(out, "merge", overwrite)
    read = [read_predictions(part) for part in parts]
    _require_all([one.about["part"] for one in read])
    first = read[0].about
    for part, one in zip(parts, read, strict=True):
        for name in ("model", "versions", "note"):
            if one.about[name] != first[name]:
                raise InputError(
                    f"Expected parts of one {name}. Got: another in {part} than in {parts[0]}. "
                    f"Predict all parts alike."
                )
    before = before or read[0].before
    own = [reference_to(before, part) if before else None for part in parts]
    if own != [one.about["before"] for one in read]:
        raise InputError(
            "Expected the --before with which all parts were predicted. Got: another, or none. "
            "Give that to `merge`, too, or predict all parts alike."
        )
    rows = [row for one in read for row in one.table.to_dict("records")]
    rows.sort(key=lambda row: row["image"])
    for row in rows:
        row["laterality"] = row["laterality"] or None
    table = pd.DataFrame(rows, columns=list(columns()))  # anew, so that kinds are those of all rows
    about = {name: value for name, value in first.items() if name not in ("part", "before")}
    about["written"] = max(one.about["written"] for one in read)
    with rewritten(out, "merge"):
        for folder in FOLDERS:
            (out / folder).mkdir()
            for part in parts:
                for file in (part / folder).iterdir():
                    link_or_copy(file, out / folder / file.name)
        write_tables(table, about, out, before)
        write_report(out, before)
    return table


def _require_all(given: list[str | None]) -> None:
    """Check that parts "1/N" to "N/N" are there, once each."""
    count = Counter(given)
    if None in count:
        raise InputError("Expected folders that `predict --part I/N` wrote. Got: a whole one.")
    of = parse_part(str(given[0])).count
    wrong = [str(Part(number + 1, of)) for number in range(of) if count[f"{number + 1}/{of}"] != 1]
    if wrong or len(given) != of:
        raise InputError(
            f"Expected all parts, once each. Got: {', '.join(map(str, sorted(given, key=str)))}."
        )
