"""Where the public datasets keep photographs and masks once unpacked, a function each.

Each lists a split under a root folder, with the masks of an annotation, and tells faults in words.
`data.mask_files` knows what the mask files mean.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from fundus_uda.data.samples import IMAGE_SUFFIXES, Found, Sample, images_among


class MissingError(Exception):
    """Absence of a folder or of photographs that a split needs."""


def images_below(folder: Path) -> list[Path]:
    """List the image files in a folder at any depth, as some archives sort them by class."""
    images = images_among(folder.rglob("*"))
    if not images:
        raise MissingError(f"No file {', '.join(IMAGE_SUFFIXES)} in {folder} or below it.")
    return images


def folder_of(root: Path, *names: str) -> Path:
    """Return the folder under root that has the first of several spellings."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise MissingError(f"No folder {' or '.join(names)} in {root}.")


def mask_of_stem(folder: Path, stem: str) -> Path:
    """Return the image of a stem in a folder, or where it would be as PNG."""
    found = [folder / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((path for path in found if path.is_file()), folder / f"{stem}.png")


def spelt_as_there(folder: Path) -> Path:
    """Return a folder by the capitals that it has on the disk; itself if it is not there."""
    there = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    return next((path for path in there if path.name.lower() == folder.name.lower()), folder)


# --- REFUGE (Orlando et al., Medical Image Analysis 2020; refuge.grand-challenge.org) --------

_REFUGE_FOLDERS = {
    "train": ("Training400", "Annotation-Training400"),
    "validation": ("REFUGE-Validation400", "REFUGE-Validation400-GT"),
    "test": ("Test400", "REFUGE-Test-GT"),
}


def refuge(root: Path, split: str, _: str) -> list[Sample]:
    """List `Training400` and so on, with the masks of `Annotation-Training400` and so on."""
    images, annotations = _REFUGE_FOLDERS[split]
    folder = folder_of(root, images, f"REFUGE-{images}")
    masks = root / annotations / "Disc_Cup_Masks"
    by_stem = {path.stem: path for path in images_among(masks.rglob("*.bmp"))}
    samples = []
    for image in images_below(folder):
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


def rim_one_r3(root: Path, split: str, annotation: str) -> Sequence[Found]:
    """List the stereo pairs of both groups, with masks of the average or of one expert."""
    found: list[Found] = []
    for group in ("Healthy", "Glaucoma and suspects"):
        folder = folder_of(root, group)
        for image in images_below(folder_of(folder, "Stereo Images")):
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


def rim_one_dl(root: Path, split: str, _: str) -> list[Sample]:
    """List a half of one of the two partitions, with its reference masks."""
    part, _, by_hospital = split.partition("-")
    partition = "partitioned_by_hospital" if by_hospital else "partitioned_randomly"
    names = {"train": "training_set", "test": "test_set"}
    images = folder_of(root, f"RIM-ONE_DL_images/{partition}", partition)
    masks = root / "RIM-ONE_DL_reference_segmentations"
    samples = []
    for image in images_below(folder_of(images, names[part])):
        pair = tuple(
            masks / image.parent.name / f"{image.stem}-1-{structure}-T.png"
            for structure in ("Disc", "Cup")
        )
        samples.append(Sample(image.stem, image, pair, "disc_cup"))
    return samples


# --- Drishti-GS1 (Sivaswamy et al., JSM Biomedical Imaging 2015) -----------------------------


def drishti_gs(root: Path, split: str, annotation: str) -> list[Sample]:
    """List `Training` or `Test`, with the soft maps of four experts."""
    files = folder_of(root, "Drishti-GS1_files", ".")
    images, truth = {"train": ("Training", "GT"), "test": ("Test", "Test_GT")}[split]
    folder = folder_of(files, images)
    samples = []
    for image in images_below(folder_of(folder, "Images")):
        soft_maps = folder / truth / image.stem / "SoftMap"
        pair = tuple(
            soft_maps / f"{image.stem}_{structure}segSoftmap.png" for structure in ("OD", "cup")
        )
        samples.append(Sample(image.stem, image, pair, f"soft_{annotation}"))
    return samples


# --- REFUGE and REFUGE2 as Kaggle has them -----------------------------------------------------


def refuge_kaggle(root: Path, split: str, _: str) -> list[Sample]:
    """List a split of `{train,val,test}/{Images,Masks}`, or of `{images,mask}` (REFUGE2)."""
    part = folder_of(root, {"validation": "val"}.get(split, split))
    images = folder_of(part, "Images", "images", "image")
    masks = folder_of(part, "Masks", "masks", "mask")
    return [Sample(image.stem, image, (mask_of_stem(masks, image.stem),), "labels")
            for image in images_below(images)]  # fmt: skip


# --- The crops that BEAL, DPL and CBMT share ---------------------------------------------------


def beal(root: Path, split: str, _: str) -> list[Sample]:
    """List `{train,test}/ROIs/{image,mask}` of one `DomainN`, or of one folder of BEAL's zip."""
    part = folder_of(folder_of(root, split), "ROIs", ".")
    masks = folder_of(part, "mask")
    return [Sample(image.stem, image, (mask_of_stem(masks, image.stem),), "refuge")
            for image in images_below(folder_of(part, "image"))]  # fmt: skip


# --- ORIGA (Zhang et al., EMBC 2010) -----------------------------------------------------------


def origa(root: Path, _: str, __: str) -> list[Sample]:
    """List `Images/001.jpg` with `Masks/001.png` or `Semi-automatic-annotations/001.mat`."""
    folder = folder_of(root, "Masks", "Semi-automatic-annotations")
    kind, suffix = ("labels", ".png") if folder.name == "Masks" else ("matlab", ".mat")
    return [Sample(image.stem, image, (folder / f"{image.stem}{suffix}",), kind)
            for image in images_below(folder_of(root, "Images"))]  # fmt: skip


# --- G1020 (Bajwa et al., IJCNN 2020) ----------------------------------------------------------


def g1020(root: Path, _: str, __: str) -> list[Sample]:
    """List `Images/image_0.jpg` with `Masks/image_0.png`; some photographs show no cup."""
    masks = folder_of(root, "Masks")
    return [Sample(image.stem, image, (masks / f"{image.stem}.png",), "labels")
            for image in images_below(folder_of(root, "Images"))]  # fmt: skip


# --- PAPILA (Kovalyk et al., Scientific Data 2022) ---------------------------------------------


def papila(root: Path, _: str, annotation: str) -> list[Sample]:
    """List `FundusImages/RET002OD.jpg` with the contours of one expert."""
    inner = [path.name for path in sorted(root.glob("PapilaDB-PAPILA*")) if path.is_dir()]
    root = folder_of(root, *inner, ".")
    contours = root / "ExpertsSegmentations" / "Contours"
    expert = annotation[-1]
    samples = []
    for image in images_below(folder_of(root, "FundusImages")):
        pair = tuple(contours / f"{image.stem}_{part}_exp{expert}.txt" for part in ("disc", "cup"))
        samples.append(Sample(image.stem, image, pair, "contours"))
    return samples


# --- Chaksu (Kumar et al., Scientific Data 2023) -----------------------------------------------

CHAKSU_FUSIONS = {"majority": "Majority", "mean": "Mean", "median": "Median", "staple": "STAPLE"}
"""Folders of the five experts' fusions, by annotation."""


def chaksu(root: Path, split: str, annotation: str) -> list[Sample]:
    """List `{Train,Test}/1.0_Original_Fundus_Images/CAMERA`, with a fusion or one expert's masks.

    Ids are `CAMERA-STEM`. Names of folders differ in capitals from one expert to another.
    """
    half = folder_of(root, split.capitalize())
    samples = []
    for image in images_below(folder_of(half, "1.0_Original_Fundus_Images")):
        camera, masks = image.parent.name, []
        for structure in ("Disc", "Cup"):
            if annotation in CHAKSU_FUSIONS:
                fusions = half / "5.0_OD_OC_Mean_Median_Majority_STAPLE" / camera
                folder = spelt_as_there(fusions / structure) / CHAKSU_FUSIONS[annotation]
            else:
                experts = half / "3.0_Doctors_Annotations_Binary_OD_OC"
                expert = experts / f"Expert {annotation[-1]}" / camera
                folder = spelt_as_there(expert / structure)
            masks.append(mask_of_stem(folder, image.stem))
        samples.append(Sample(f"{camera}-{image.stem}", image, tuple(masks), "soft_majority"))
    return samples


# --- GRAPE (Huang et al., Scientific Data 2023) ------------------------------------------------


def grape(root: Path, _: str, __: str) -> list[Sample]:
    """List `ROI images/1_OD_1.jpg`, the crops, with `json/1_OD_1.json`, the outlines of LabelMe."""
    inner = [path.name for path in sorted(root.glob("GRAPE*")) if path.is_dir()]
    images = folder_of(root, "ROI images", *(f"{name}/ROI images" for name in inner))
    outlines = folder_of(images.parent, "json")
    return [Sample(image.stem, image, (outlines / f"{image.stem}.json",), "grape")
            for image in images_below(images)]  # fmt: skip
