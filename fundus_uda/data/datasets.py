"""Known dataset layouts, from a data URI `KIND:PATH` or `KIND:PATH#SPLIT` to a list of samples.

Each row of `LAYOUTS` knows where one public dataset keeps its photographs and masks once
unpacked. `data.mask_files` knows what the mask files mean.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.data.manifest import SPLITS, read_manifest
from fundus_uda.data.samples import (
    IMAGE_SUFFIXES,
    Found,
    Sample,
    images_among,
    images_in,
    listed_folders,
)
from fundus_uda.errors import InputError
from fundus_uda.output import require_whole

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
    if not (root.is_file() if kind == "manifest" else root.is_dir()):
        wanted = "a file" if kind == "manifest" else "a folder"
        there = f"a {'folder' if root.is_dir() else 'file'}" if root.exists() else "nothing"
        raise InputError(f"Expected {kind} data at {root}, {wanted}. Got: {there}.")
    found: list[Found] = []
    missing: list[str] = []
    for name in [split] if split else layout.whole or layout.splits:
        try:
            found += layout.find(root, name, annotation)
        except _MissingError as error:
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


class _MissingError(Exception):
    """Absence of a folder or of photographs that a split needs."""


def _images_below(folder: Path) -> list[Path]:
    """List the image files in a folder at any depth, as some archives sort them by class."""
    images = images_among(folder.rglob("*"))
    if not images:
        raise _MissingError(f"No file {', '.join(IMAGE_SUFFIXES)} in {folder} or below it.")
    return images


def _folder(root: Path, *names: str) -> Path:
    """Return the folder under root that has the first of several spellings."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise _MissingError(f"No folder {' or '.join(names)} in {root}.")


# --- REFUGE (Orlando et al., Medical Image Analysis 2020; refuge.grand-challenge.org) --------

_REFUGE_FOLDERS = {
    "train": ("Training400", "Annotation-Training400"),
    "validation": ("REFUGE-Validation400", "REFUGE-Validation400-GT"),
    "test": ("Test400", "REFUGE-Test-GT"),
}


def _refuge(root: Path, split: str, _: str) -> list[Sample]:
    images, annotations = _REFUGE_FOLDERS[split]
    folder = _folder(root, images, f"REFUGE-{images}")
    masks = root / annotations / "Disc_Cup_Masks"
    by_stem = {path.stem: path for path in images_among(masks.rglob("*.bmp"))}
    samples = []
    for image in _images_below(folder):
        mask = by_stem.get(image.stem, masks / f"{image.stem}.bmp")
        samples.append(Sample(image.stem, image, (mask,), "refuge"))
    return samples


# --- RIM-ONE r3 (Fumero et al., CBMS 2011) ---------------------------------------------------

_RIM_ONE_TEST = {
    "N": {*range(1, 5), 17, 18, *range(20, 24), *range(28, 45), *range(46, 52), 78},
    "G": {2, *range(22, 32)},
    "S": {*range(2, 10), *range(29, 36)},
}
"""The 60 test eyes of the 99/60 split of Maninis et al. (MICCAI 2016)."""


def _rim_one_r3(root: Path, split: str, annotation: str) -> Sequence[Found]:
    found: list[Found] = []
    for group in ("Healthy", "Glaucoma and suspects"):
        folder = _folder(root, group)
        for image in _images_below(_folder(folder, "Stereo Images")):
            eye = re.fullmatch(r"([NGS])-(\d+)-[LR]", image.stem)
            if eye is None:
                found.append(
                    f"Expected names such as N-10-R.jpg in {image.parent}. Got: {image.name}. "
                    f"Remove what is not of the dataset."
                )
            elif (int(eye[2]) in _RIM_ONE_TEST[eye[1]]) == (split == "test"):
                disc = _rim_one_mask(folder, image.stem, "Disc", annotation)
                cup = _rim_one_mask(folder, image.stem, "Cup", annotation)
                found.append(Sample(image.stem, image, (disc, cup), "disc_cup", stereo=True))
    return found


def _rim_one_mask(folder: Path, stem: str, structure: str, annotation: str) -> Path:
    if annotation == "average":
        return folder / "Average_masks" / f"{stem}-{structure}-Avg.png"
    expert = annotation[-1]
    names = [f"{stem}-1-{structure}-exp{expert}.png", f"{stem}-{structure}-exp{expert}.png"]
    paths = [folder / f"Expert{expert}_masks" / name for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


# --- RIM-ONE DL (Fumero et al., Image Analysis & Stereology 2020) ----------------------------


def _rim_one_dl(root: Path, split: str, _: str) -> list[Sample]:
    part, _, by_hospital = split.partition("-")
    partition = "partitioned_by_hospital" if by_hospital else "partitioned_randomly"
    names = {"train": "training_set", "test": "test_set"}
    images = _folder(root, f"RIM-ONE_DL_images/{partition}", partition)
    masks = root / "RIM-ONE_DL_reference_segmentations"
    samples = []
    for image in _images_below(_folder(images, names[part])):
        pair = tuple(
            masks / image.parent.name / f"{image.stem}-1-{structure}-T.png"
            for structure in ("Disc", "Cup")
        )
        samples.append(Sample(image.stem, image, pair, "disc_cup"))
    return samples


# --- Drishti-GS1 (Sivaswamy et al., JSM Biomedical Imaging 2015) -----------------------------


def _drishti_gs(root: Path, split: str, annotation: str) -> list[Sample]:
    files = _folder(root, "Drishti-GS1_files", ".")
    images, truth = {"train": ("Training", "GT"), "test": ("Test", "Test_GT")}[split]
    folder = _folder(files, images)
    samples = []
    for image in _images_below(_folder(folder, "Images")):
        soft_maps = folder / truth / image.stem / "SoftMap"
        pair = tuple(
            soft_maps / f"{image.stem}_{structure}segSoftmap.png" for structure in ("OD", "cup")
        )
        samples.append(Sample(image.stem, image, pair, f"soft_{annotation}"))
    return samples


# --- One's own images ------------------------------------------------------------------------


def _own_folder(root: Path, _: str, __: str) -> Sequence[Found]:
    require_whole(root)
    folder = root / "images" if (root / "images").is_dir() else root
    images = images_in(folder)
    if not images:
        raise _MissingError(
            f"No file {', '.join(IMAGE_SUFFIXES)} in {folder}, whose subfolders are not searched"
            f"{listed_folders(folder)}."
        )
    masks: dict[str, list[Path]] = {}
    if folder != root and (root / "masks").is_dir():
        for path in images_in(root / "masks"):
            masks.setdefault(path.stem, []).append(path)
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


LAYOUTS: dict[str, Layout] = {
    "refuge": Layout(_refuge, ("train", "validation", "test")),
    "rim-one-r3": Layout(
        _rim_one_r3, ("train", "test"), annotations=("average", "expert1", "expert2")
    ),
    "rim-one-dl": Layout(
        _rim_one_dl,
        ("train", "test", "train-by_hospital", "test-by_hospital"),
        whole=("train", "test"),
    ),
    "drishti-gs": Layout(_drishti_gs, ("train", "test"), annotations=("majority", "any", "all")),
    "folder": Layout(_own_folder, ("all",)),
    "manifest": Layout(read_manifest, SPLITS),
}
