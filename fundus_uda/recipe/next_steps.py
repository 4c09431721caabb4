"""What to do with an adapted network, as `adapt` writes it into its folder."""

import shlex
from pathlib import Path

from fundus_uda.files import write_whole

_TEXT = """What `fundus-uda adapt` wrote here

predictions/report.html   the page to look through; measurements.csv has its numbers
before/                   the same with the network before adaptation
stages.csv                what each stage brought; stages/ holds their runs
model.json                which of them is kept; by it, this folder is a MODEL for every command

Outline the same camera's next photographs (PHOTOS: images, DICOM files, folders of them):

    {predict}

Score the network on photographs with outlines (inspect tells whether they can be read):

    {evaluate}

Go on adapting it to other photographs, without any labels:

    {adapt}

{folder} is this folder, and --out a new one. For research. Not a medical device.
"""


def command_for_next(out: Path) -> str:
    """Return the command that outlines the next photographs with the network in a folder."""
    return f"fundus-uda predict {shlex.quote(str(out))} PHOTOS --out predictions_next"


def write_next_steps(out: Path) -> None:
    """Write `README.txt` into the folder of an adaptation."""
    folder = shlex.quote(str(out))
    text = _TEXT.format(
        folder=folder,
        predict=command_for_next(out),
        evaluate=f"fundus-uda evaluate {folder} KIND:PATH --out scores",
        adapt=f"fundus-uda adapt --model {folder} --target PHOTOS --out adapted_next",
    )
    write_whole(out / "README.txt", text)
