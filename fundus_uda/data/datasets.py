"""Known dataset layouts, from a data URI `KIND:PATH` or `KIND:PATH#SPLIT` to a list of samples.

Each row of `LAYOUTS` is a public dataset (see `data.public_sets`) or one's own photographs.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.data.manifest import SPLITS, read_manifest
from fundus_uda.data.outlined import outlined
from fundus_uda.data.public_sets import (
    CHAKSU_FUSIONS,
    MissingError,
    beal,
    chaksu,
    drishti_gs,
    g1020,
    grape,
    origa,
    papila,
    refuge,
    refuge_kaggle,
    rim_one_dl,
    rim_one_r3,
)
from fundus_uda.data.samples import (
    IMAGE_SUFFIXES,
    Found,
    Sample,
    images_in,
    listed_folders,
    masks_in,
    stem_of,
)
from fundus_uda.errors import InputError
from fundus_uda.rendering.dataset import cached_photographs
from fundus_uda.rendering.scene import Scene
from fundus_uda.unfinished import require_whole

_SHOWN_FAULTS = 5


@dataclass(frozen=True)
class Layout:
    """Layout of a dataset: `find(root, split, annotation)` lists a split and its faults."""

    find: Callable[[Path, str, str], Sequence[Found]]
    splits: tuple[str, ...]
    whole: tuple[str, ...] = ()
    """Splits that make up the dataset, if not all."""
    annotations: tuple[str, ...] = ("default",)
    """Annotations whose masks can be used; the first is the default."""
    root: Literal["a folder", "a file", "a number"] = "a folder"
    """What the path of its data URI names."""
    readers: tuple[str, ...] = ()
    """Annotations of single readers, or of the least and the most that several drew."""
    terms: str = "those of its owner"
    """Terms of use, in a few words, which a network that learnt from the dataset carries along."""


def load_samples(uri: str, annotation: str | None = None) -> list[Sample]:
    """Load the samples at a data URI, sorted by id.

    Args:
        uri: `KIND:PATH` for all splits that are there, or `KIND:PATH#SPLIT`.
        annotation: one of the layout's `annotations`; None for its default.

    Raises:
        InputError: see `list_samples`; or the listing has faults: two photographs of one name,
            two masks of one photograph, missing images of a manifest.
    """
    samples, faults = list_samples(uri, annotation)
    if faults:
        shown = faults[:_SHOWN_FAULTS]
        if len(faults) > len(shown):
            shown.append(f"And {len(faults) - len(shown)} more, which `fundus-uda inspect` lists.")
        raise InputError("\n".join(shown))
    return samples


def list_samples(uri: str, annotation: str | None = None) -> tuple[list[Sample], list[str]]:
    """List the samples at a data URI, sorted by id, and the faults of the listing.

    Args:
        uri: see `load_samples`.
        annotation: see `load_samples`.

    Returns:
        The samples; the faults, in words for the user.

    Raises:
        InputError: nothing can be listed: unknown kind, split or annotation; missing folder; no
            image found; a file that is no manifest.
    """
    splits = {kind: layout.splits for kind, layout in LAYOUTS.items()}
    kind, root, split = parse_data_uri(uri, splits)
    layout = LAYOUTS[kind]
    annotation = annotation or layout.annotations[0]
    if annotation not in layout.annotations:
        raise InputError(
            f"Expected the annotation of {kind} to be one of {', '.join(layout.annotations)}. "
            f"Got: {annotation}."
        )
    if layout.root != "a number" and not (
        root.is_file() if layout.root == "a file" else root.is_dir()
    ):
        there = f"a {'folder' if root.is_dir() else 'file'}" if root.exists() else "nothing"
        raise InputError(f"Expected {kind} data at {root}, {layout.root}. Got: {there}.")
    found: list[Found] = []
    missing: list[str] = []
    for name in [split] if split else layout.whole or layout.splits:
        try:
            found += layout.find(root, name, annotation)
        except MissingError as error:
            missing.append(str(error))
            if split:
                break
    if not found:
        holds = (
            ", ".join(sorted(p.name for p in root.iterdir())[:12]) if root.is_dir() else "a file"
        )
        raise InputError(
            f"Expected {kind} photographs at {uri}. Got: none. "
            + (" ".join(missing) + " " if missing else "")
            + f"In {root}: {holds or 'nothing'}."
        )
    samples = [item for item in found if isinstance(item, Sample)]
    faults = dict.fromkeys(item for item in found if isinstance(item, str))
    named: dict[str, list[str]] = {}
    for sample in samples:
        named.setdefault(sample.id, []).append(str(sample.image))
    twins = [
        f"Expected one photograph per name at {uri}. Got: {' and '.join(paths)}. "
        f"Rename one, since results are named after photographs, or give a manifest with a column "
        f"`id`."
        for paths in named.values()
        if len(paths) > 1
    ]
    return sorted(samples, key=lambda sample: sample.id), [*faults, *twins]


def is_data_uri(text: str) -> bool:
    """Check whether a text names a dataset of a known kind, and not a path."""
    kind, colon, _ = text.partition(":")
    return colon == ":" and kind in LAYOUTS


# --- One's own images ------------------------------------------------------------------------


def _own_folder(root: Path, _: str, __: str) -> Sequence[Found]:
    require_whole(root)
    folder = root / "images" if (root / "images").is_dir() else root
    images = images_in(folder)
    if not images:
        raise MissingError(
            f"No file {', '.join(IMAGE_SUFFIXES)} in {folder}, whose subfolders are not searched"
            f"{listed_folders(folder)}."
        )
    masks: dict[str, list[Path]] = {}
    if folder != root and (root / "masks").is_dir():
        for path in masks_in(root / "masks"):
            masks.setdefault(stem_of(path), []).append(path)
    found: list[Found] = []
    for image in images:
        paths = tuple(masks.get(image.stem, ()))
        found.append(Sample(image.stem, image, paths, "labels"))
        if len(paths) > 1:
            found.append(
                f"Expected one mask for {image}. Got: {' and '.join(map(str, paths))}. Remove "
                f"all but one."
            )
    return found


def _rendered(root: Path, split: str, _: str) -> Sequence[Found]:
    """Render `COUNT` or `COUNT@SIZE` photographs, of a seed for each split, into the cache."""
    given = re.fullmatch(r"([0-9]{1,9})(?:@([0-9]{1,9}))?", str(root))
    if given is None:
        raise InputError(
            f"Expected rendered:COUNT or rendered:COUNT@SIZE, such as rendered:2000@256. Got: "
            f"rendered:{root}."
        )
    scene = Scene(size=int(given[2])) if given[2] else Scene()
    files = cached_photographs(scene, ("train", "test").index(split), int(given[1]))
    return [Sample(image.stem, image, (mask,), "labels") for image, mask in files]


_EXPERTS = tuple(f"expert{number}" for number in range(1, 6))
_RESEARCH = "research use"

LAYOUTS: dict[str, Layout] = {
    "refuge": Layout(refuge, ("train", "validation", "test"), terms=_RESEARCH),
    "refuge-kaggle": Layout(refuge_kaggle, ("train", "validation", "test"), terms=_RESEARCH),
    "rim-one-r3": Layout(
        rim_one_r3,
        ("train", "test"),
        annotations=("average", *_EXPERTS[:2]),
        readers=_EXPERTS[:2],
        terms=_RESEARCH,
    ),
    "rim-one-dl": Layout(
        rim_one_dl,
        ("train", "test", "train-by_hospital", "test-by_hospital"),
        whole=("train", "test"),
        terms=_RESEARCH,
    ),
    "drishti-gs": Layout(
        drishti_gs,
        ("train", "test"),
        annotations=("majority", "any", "all"),
        readers=("any", "all"),
        terms=_RESEARCH,
    ),
    "beal": Layout(beal, ("train", "test"), terms="those of the set that was cropped"),
    "origa": Layout(origa, ("all",), terms=_RESEARCH),
    "g1020": Layout(g1020, ("all",), terms=_RESEARCH),
    "grape": Layout(grape, ("all",), terms="CC BY 4.0"),
    "papila": Layout(
        papila, ("all",), annotations=_EXPERTS[:2], readers=_EXPERTS[:2], terms="CC BY 4.0"
    ),
    "chaksu": Layout(
        chaksu,
        ("train", "test"),
        annotations=(*CHAKSU_FUSIONS, *_EXPERTS),
        readers=_EXPERTS,
        terms="CC BY 4.0",
    ),
    "folder": Layout(_own_folder, ("all",)),
    "manifest": Layout(read_manifest, SPLITS, root="a file"),
    "rendered": Layout(
        _rendered,
        ("train", "test"),
        whole=("train",),
        root="a number",
        terms="none, of no eye that exists",
    ),
    "outlined": Layout(outlined, ("all",)),
}
