"""Outlines that readers drew or corrected in a folder (`outlined:`), of some photographs.

The folder is one that `fundus-uda suggest` wrote, or has the same form: photographs in `images`,
and their outlines as masks in `masks` or as JSON of LabelMe beside the photographs. What `suggest`
wrote is the network's own outline, and counts only once somebody has changed or accepted it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.data.public_sets import MissingError
from fundus_uda.data.samples import Found, Sample, images_in
from fundus_uda.engine.fingerprint import digest
from fundus_uda.errors import InputError
from fundus_uda.files import read_json
from fundus_uda.output import note
from fundus_uda.unfinished import require_whole

SUGGESTED, WRITTEN = "suggested.csv", "written.json"
"""Files of a folder that `suggest` wrote: its photographs; digests of the outlines by file."""
ACCEPTED = ("yes", "y", "true", "1", "x")
"""Words in the column `accepted` by which a reader takes an outline as it is."""
OUTLINES = ("masks/{}.png", "masks/{}.nii.gz", "masks/{}.nii", "images/{}.json")
"""Files that may hold the outline of a photograph."""


def outlined(root: Path, _: str, __: str) -> Sequence[Found]:
    """List the photographs whose outlines count, and the faults of the others.

    Raises:
        MissingError: a folder of another form.
        InputError: one in which nothing is outlined yet.
    """
    require_whole(root)
    folder = root / "images"
    images = {path.stem: path for path in images_in(folder)} if folder.is_dir() else {}
    written = read_json(root / WRITTEN) if (root / WRITTEN).is_file() else {}
    accepted = _accepted(root / SUGGESTED) if (root / SUGGESTED).is_file() else set()
    found: list[Found] = []
    untouched = []
    for id_, image in images.items():
        files = [file for form in OUTLINES if (root / (file := form.format(id_))).is_file()]
        drawn = [file for file in files if written.get(file) != digest(root / file)]
        if not drawn and id_ in accepted:
            drawn = files[:1]
        if len(drawn) > 1:
            found.append(
                f"Expected one outline of {image}. Got: {' and '.join(drawn)}, which were both "
                f"drawn or changed. Remove all but one."
            )
        elif drawn:
            encoding = "labelme" if drawn[0].endswith(".json") else "labels"
            found.append(Sample(id_, image, (root / drawn[0],), encoding))
        elif files:
            untouched.append(id_)
    found += _of_unknown_photographs(root, set(images))
    if untouched:
        note(
            f"{root}: {len(untouched)} outlines are as the network drew them, and are left out: "
            f"{', '.join(untouched[:5])}{', ...' if untouched[5:] else ''}. Correct them, or write "
            f"yes into the column `accepted` of {SUGGESTED}."
        )
    if not found and not untouched:
        raise MissingError(
            f"No photographs in {root / 'images'} with masks of their names in `masks`, or JSON of "
            f"LabelMe beside them."
        )
    if not found:
        raise InputError(
            f"Expected outlines in {root} that somebody has drawn. Got: none that was changed or "
            f"accepted. Correct some first, or accept them in {SUGGESTED}."
        )
    return found


def _of_unknown_photographs(root: Path, known: set[str]) -> list[str]:
    """Report the outlines for which there is no photograph."""
    named = {
        file: file.name.removesuffix(".gz").rpartition(".")[0]
        for form in OUTLINES
        for file in sorted(root.glob(form.format("*")))
        if not file.name.startswith(".")
    }
    return [
        f"Expected a photograph for each outline, of its name, in {root / 'images'}. Got: none for "
        f"{file}. Add it, or remove the outline."
        for file, id_ in named.items()
        if id_ not in known
    ]


def _accepted(file: Path) -> set[str]:
    """Return the ids whose outlines a reader accepted; the file may come from a spreadsheet."""
    try:
        table: Any = pd.read_csv(file, sep=None, engine="python", dtype=str, keep_default_na=False)
        words = table["accepted"].str.strip().str.lower()
        return set(table.loc[words.isin(ACCEPTED), "image"])
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"Expected a CSV with the columns `image` and `accepted` in {file}. Got: "
            f"{type(error).__name__}. Save it anew, or remove it."
        ) from None
