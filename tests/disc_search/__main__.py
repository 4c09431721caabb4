"""The command: `python -m tests.disc_search`, a Markdown table, in two minutes of one core.

`FUNDUS_UDA_DATA` holds `idrid_disc`, whole photographs with masks of the disc, and, if the streets
are to be searched too, `camvid_day` and `camvid_dusk`. Names of cameras measure these alone.
"""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fundus_uda.clinic.locate import locate_disc
from tests.disc_search.cameras import CAMERAS
from tests.disc_search.measure import count


def main() -> None:
    """Print the table of the cameras that are named, or of all, and the streets with a disc."""
    cameras = sys.argv[1:] or list(CAMERAS)
    if unknown := set(cameras) - CAMERAS.keys():
        sys.exit(f"Expected cameras among {', '.join(CAMERAS)}. Got: {', '.join(unknown)}.")
    if "FUNDUS_UDA_DATA" not in os.environ:
        sys.exit("Expected FUNDUS_UDA_DATA, the folder that holds idrid_disc. Got: not set.")
    data = Path(os.environ["FUNDUS_UDA_DATA"])
    table = count(data / "idrid_disc", cameras)
    table.loc["all"] = table.sum()
    print("| camera | found | missed | elsewhere |\n|---|---|---|---|")
    for camera, counts in zip(table.index, table.to_numpy(), strict=True):
        print(f"| {camera} | " + " | ".join(map(str, counts)) + " |")
    streets = sorted(data.glob("camvid_*/leftImg8bit/*/*/*.png"))
    found = [p for p in streets if locate_disc(np.asarray(Image.open(p).convert("RGB")))]
    print(f"\nstreets: {len(found)} of {len(streets)} with a disc")


main()
