"""Rendered photographs as files: a folder of one's own, or a cache that a data URI reads."""

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from fundus_uda.errors import InputError
from fundus_uda.files import needing_room
from fundus_uda.output import note, progress
from fundus_uda.paths import CACHE, cache_folder
from fundus_uda.rendering.scene import Scene, render
from fundus_uda.unfinished import require_replaceable, rewritten

MOST = 100_000
"""Largest number of photographs."""


def write_rendered(scene: Scene, seed: int, count: int, out: Path, overwrite: bool = False) -> None:
    """Write rendered photographs and masks into a `folder:` dataset.

    Args:
        scene: what is rendered.
        seed: seed of all of them.
        count: number of photographs.
        out: new or empty folder, created if needed; gets `images/000000.jpg` and so on, and
            `masks/000000.png`.
        overwrite: whether `out` may hold earlier ones, which are replaced (see
            `unfinished.require_replaceable`).

    Raises:
        InputError: a count below 1 or above `MOST`, or the folder is not empty.
    """
    require_count(count)
    require_replaceable(out, "render", overwrite)
    with rewritten(out, "render"):
        for _ in progress(_written(scene, seed, count, out), "photographs rendered", count):
            pass


def cached_photographs(scene: Scene, seed: int, count: int) -> list[tuple[Path, Path]]:
    """Render photographs into the cache, but for those that are there.

    The cache of another version of the renderer is another one.

    Args:
        scene: what is rendered.
        seed: seed of all of them.
        count: number of photographs.

    Returns:
        Files of each photograph and its mask.

    Raises:
        InputError: a count below 1 or above `MOST`, or no folder that can be written to.
    """
    require_count(count)
    scene_name = hashlib.blake2b(f"{_renderer()} {scene} {seed}".encode(), digest_size=6)
    folder = cache_folder() / "rendered" / f"{scene.size}-{scene_name.hexdigest()}"
    files = [_files(folder, index) for index in range(count)]
    if not all(path.is_file() for path, _ in files):
        note(f"Rendered photographs are kept in {folder}.")
        try:
            for _ in progress(_written(scene, seed, count, folder), "photographs rendered", count):
                pass
        except PermissionError as error:
            raise InputError(
                f"Expected a folder to keep rendered photographs in. Got: {error.strerror} at "
                f"{folder}. Set {CACHE} to a folder that can be written to."
            ) from None
    return files


def require_count(count: int) -> None:
    """Raise an InputError unless a number of photographs can be rendered."""
    if not 1 <= count <= MOST:
        raise InputError(f"Expected 1 to {MOST} photographs to render. Got: {count}.")


def _written(scene: Scene, seed: int, count: int, folder: Path) -> Iterator[int]:
    """Write the photographs that are not there; each file is written whole or not at all."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        photograph, mask = _files(folder, index)
        if not photograph.is_file():
            rendered = render(scene, seed, index)
            with needing_room(photograph):
                temporary = mask.with_name(f".{index}-{os.getpid()}.png")
                Image.fromarray(rendered.mask).save(temporary)
                temporary.replace(mask)
                temporary.write_bytes(rendered.jpeg)
                temporary.replace(photograph)
        yield index


def _files(folder: Path, index: int) -> tuple[Path, Path]:
    return folder / "images" / f"{index:06d}.jpg", folder / "masks" / f"{index:06d}.png"


@cache
def _renderer() -> str:
    """Return a fingerprint of the renderer's code."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in modules)).hexdigest()
