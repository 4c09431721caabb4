"""Known dataset layouts: `KIND:PATH` or `KIND:PATH#SPLIT` to a list of samples.

Each row of `LAYOUTS` knows where one public dataset keeps its photographs and masks as it
unpacks. What the mask files mean is `data.masks`' concern.
"""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fundus_uda.data.samples import Sample, first_twins, images_among, images_in
from fundus_uda.engine.addresses import parse_address
from fundus_uda.engine.errors import InputError


@dataclass(frozen=True)
class Layout:
    """One dataset: `find(root, split, annotation)` lists the samples of one split."""

    find: Callable[[Path, str, str], list[Sample]]
    splits: tuple[str, ...]
    whole: tuple[str, ...] = ()
    """The splits that make up the dataset, if not all."""
    annotations: tuple[str, ...] = ("default",)
    """Whose masks to use; the first is the default."""


def load_samples(address: str, annotation: str | None = None) -> list[Sample]:
    """The samples at an address, sorted by id.

    Args:
        address: `KIND:PATH` for all splits that are there, or `KIND:PATH#SPLIT`.
        annotation: whose masks, of the layout's `annotations`; None for its default.

    Raises:
        InputError: unknown kind, split or annotation; missing folder; no image found.
    """
    splits = {kind: layout.splits for kind, layout in LAYOUTS.items()}
    kind, root, split = parse_address(address, splits)
    layout = LAYOUTS[kind]
    annotation = annotation or layout.annotations[0]
    if annotation not in layout.annotations:
        raise InputError(
            f"Expected the annotation of {kind} to be one of {', '.join(layout.annotations)}. "
            f"Got: {annotation}."
        )
    if not (root.is_file() if kind == "manifest" else root.is_dir()):
        wanted = "a file" if kind == "manifest" else "a folder"
        found = f"a {'folder' if root.is_dir() else 'file'}" if root.exists() else "nothing"
        raise InputError(f"Expected {kind} data at {root}, {wanted}. Got: {found}.")
    samples: list[Sample] = []
    missing: list[str] = []
    for name in [split] if split else layout.whole or layout.splits:
        try:
            samples += layout.find(root, name, annotation)
        except _MissingError as error:
            missing.append(str(error))
            if split:
                break
    if not samples:
        found = (
            ", ".join(sorted(p.name for p in root.iterdir())[:12]) if root.is_dir() else "a file"
        )
        raise InputError(
            f"Expected {kind} photographs at {address}. Got: none. "
            + (" ".join(missing) + " " if missing else "")
            + f"In {root}: {found or 'nothing'}."
        )
    if pair := first_twins((sample.id, sample.image) for sample in samples):
        raise InputError(
            f"Expected one photograph per name at {address}. Got: {pair[0]} and {pair[1]}. "
            f"Rename one, since results are named after photographs."
        )
    return sorted(samples, key=lambda sample: sample.id)


def is_address(text: str) -> bool:
    """Whether a text names a dataset of a known kind, and not a path."""
    kind, colon, _ = text.partition(":")
    return colon == ":" and kind in LAYOUTS


class _MissingError(Exception):
    """A folder that a split needs is not there."""


def _folder(root: Path, *names: str) -> Path:
    """The first of several spellings of a folder under root."""
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
    for image in images_among(folder.rglob("*")):
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


def _rim_one_r3(root: Path, split: str, annotation: str) -> list[Sample]:
    samples = []
    for group in ("Healthy", "Glaucoma and suspects"):
        folder = _folder(root, group)
        for image in images_in(_folder(folder, "Stereo Images")):
            eye = re.fullmatch(r"([NGS])-(\d+)-[LR]", image.stem)
            if eye is None:
                raise InputError(
                    f"Expected names such as N-10-R.jpg in {image.parent}. Got: {image.name}. "
                    f"Remove what is not of the dataset."
                )
            if (int(eye[2]) in _RIM_ONE_TEST[eye[1]]) == (split == "test"):
                disc = _rim_one_mask(folder, image.stem, "Disc", annotation)
                cup = _rim_one_mask(folder, image.stem, "Cup", annotation)
                samples.append(Sample(image.stem, image, (disc, cup), "disc_cup", stereo=True))
    return samples


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
    for image in images_among(_folder(images, names[part]).rglob("*")):
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
    for image in images_in(_folder(folder, "Images")):
        soft_maps = folder / truth / image.stem / "SoftMap"
        pair = tuple(
            soft_maps / f"{image.stem}_{structure}segSoftmap.png" for structure in ("OD", "cup")
        )
        samples.append(Sample(image.stem, image, pair, f"soft_{annotation}"))
    return samples


# --- One's own images ------------------------------------------------------------------------


def _own_folder(root: Path, _: str, __: str) -> list[Sample]:
    folder = root / "images" if (root / "images").is_dir() else root
    masks: dict[str, list[Path]] = {}
    if folder != root and (root / "masks").is_dir():
        for path in images_in(root / "masks"):
            masks.setdefault(path.stem, []).append(path)
    return [
        Sample(image.stem, image, tuple(masks.get(image.stem, ())), "labels")
        for image in images_in(folder)
    ]


_SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLIT_NAMES |= {"val": "validation", "valid": "validation", "validation": "validation"}


def _split_named(name: str) -> str:
    if name.strip().lower() not in _SPLIT_NAMES:
        raise ValueError(f"a split {name!r}, not train, validation or test")
    return _SPLIT_NAMES[name.strip().lower()]


def _manifest(path: Path, split: str, _: str) -> list[Sample]:
    """A CSV with the columns image, mask (optional) and split (optional), or a MONAI datalist.

    Paths are relative to the file. A datalist has lists of {"image": ..., "label": ...} under
    the names of splits: train or training, val or validation, test or testing.
    """
    rows: list[dict[str, str]] = []
    try:
        if path.suffix.lower() == ".json":
            for key, entries in json.loads(path.read_text(encoding="utf-8-sig")).items():
                if key.lower() in _SPLIT_NAMES:  # a datalist may say more than its splits
                    rows += [
                        {"image": e["image"], "mask": e.get("label", ""), "split": key}
                        for e in entries
                    ]
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        samples = [
            Sample(
                Path(row["image"]).stem,
                path.parent / row["image"],
                (path.parent / row["mask"],) if row.get("mask") else (),
                "labels",
            )
            for row in rows
            if _split_named(row.get("split") or "train") == split
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected {path} to be a CSV with a column `image` (and `mask`, `split`), or a MONAI "
            f"datalist in JSON. Got: {type(error).__name__}: {error}."
        ) from None
    absent = [sample.image for sample in samples if not sample.image.is_file()]
    if absent:
        raise InputError(
            f"Expected the images that {path} lists. Got: {len(absent)} that are not there, "
            f"of which the first is {absent[0]}. Paths are relative to the manifest."
        )
    return samples


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
    "manifest": Layout(_manifest, ("train", "validation", "test")),
}
