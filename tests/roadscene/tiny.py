"""Small files in the official layouts, and settings for a run of seconds."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from roadscene.settings import RoadSettings
from roadscene.synthetic import write_split

NETWORK = {
    "architecture": "deeplab_v3plus",
    "encoder": "tu-tf_efficientnet_lite0",
    "weights": "random",
}


def write_image(path: Path, shape=(6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = shape
    pixels = np.arange(height * width * 3).reshape(height, width, 3) % 256
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_ids(path: Path, ids) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, np.uint8)).save(path)


def write_png16(path: Path, channels) -> None:
    """Three 16-bit channels, put together byte by byte: no library has a hand in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.stack(channels, axis=-1).astype(">u2")
    height, width, _ = pixels.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def ids_of(values, shape=(6, 8)):
    """(H, W) that holds the given values, in order, again and again."""
    return np.resize(np.asarray(values), shape)


def streets(root: Path, size=(64, 96)) -> Path:
    write_split(root / "source", "train", "day", count=4, size=size, first_seed=0)
    write_split(root / "target", "train", "dusk", count=3, size=size, first_seed=0)
    write_split(root / "target", "val", "dusk", count=2, size=size, first_seed=50)
    return root


def settings(root: Path, **changes) -> RoadSettings:
    values = {
        "method": "asa",
        "steps": 3,
        "batch_size": 2,
        "snapshot_every": 2,
        "segmenter": {"lr": 0.02},
        "network": NETWORK,
        "data": {
            "source": f"cityscapes:{root / 'source'}#train",
            "target": f"cityscapes:{root / 'target'}#train",
            "test": f"cityscapes:{root / 'target'}#val",
            "source_size": [64, 96],
            "target_size": [64, 64],
            "classes": 19,
        },
    }
    return RoadSettings.model_validate({**values, **changes})
