"""Counts of discs found, missed and put elsewhere, by camera."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fundus_uda.clinic.listing import PhotographFile
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.clinic.reading import read
from tests.disc_search.cameras import Shot, changed, fields, write

WIDTH = 1072
"""Width of the photographs before they are changed, in pixels."""


def answer(shot: Shot, file: Path) -> str:
    """Search as `predict` does, without a network: "found", "missed" or "wrong".

    A disc is found if the error of its centre is under half its diameter. Where there is none, it
    is right to find none, which counts as found.
    """
    photograph = read(PhotographFile(file.stem, file)).pixels
    assert photograph is not None
    found = locate_disc(photograph)
    if found is None:
        return "missed" if shot.has_disc else "found"
    error = np.hypot(found.centre[0] - shot.centre[0], found.centre[1] - shot.centre[1])
    return "found" if shot.has_disc and error < shot.diameter / 2 else "wrong"


def count(idrid: Path, cameras: Sequence[str], every: int = 1) -> pd.DataFrame:
    """Count the answers on every so many photographs, in a row per camera.

    Args:
        idrid: `folder:` dataset of whole photographs, with masks of the disc.
        cameras: names in `CAMERAS`.
        every: distance between the photographs that are taken.
    """
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        for number, shot in enumerate(fields(idrid, WIDTH)):
            for camera in cameras if number % every == 0 else ():
                seen = changed(shot, camera, number)
                answered = answer(seen, write(seen, Path(folder), "photograph"))
                answers.append({"camera": camera, "answer": answered})
    table = pd.crosstab(*(pd.DataFrame(answers)[name] for name in ("camera", "answer")))
    counts = table.reindex(index=cameras, columns=["found", "missed", "wrong"], fill_value=0)
    return counts.rename_axis(index="camera", columns=None)
