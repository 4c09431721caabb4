"""Outlines of DICOM photographs as DICOM Segmentations, which viewers lay over the photograph.

A segmentation belongs to its patient: unlike all else that is written, it repeats the patient and
study of the photograph, and refers to it.
"""

import importlib.util
from copy import copy
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom.config import RAISE
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from pydicom.valuerep import validate_value

from fundus_uda import __version__
from fundus_uda.clinic.dicom_pixels import is_dicom
from fundus_uda.clinic.dicom_silence import silently
from fundus_uda.clinic.dicom_sr import DISC, SCHEME, UTF_8, coding_schemes, report_of
from fundus_uda.clinic.listing import Ids, PhotographFile, list_photographs
from fundus_uda.clinic.report.numbers import read_predictions
from fundus_uda.errors import InputError
from fundus_uda.files import replacing
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.output import progress
from fundus_uda.unfinished import require_replaceable, rewritten

CUP_OF_DISC = Code("optic-cup", SCHEME, "Cup of optic nerve head")
"""Code of the cup in a scheme of this program: DICOM's tables have none."""
SERIES = 900
"""Number of the series of a segmentation, above those that cameras use."""
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows",
          "Columns")  # fmt: skip
"""Tags of a photograph without which a segmentation cannot refer to it."""
MAY_BE_EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
                "StudyID", "StudyDate", "StudyTime", "Modality")  # fmt: skip
"""Tags that a segmentation has, perhaps without a value."""
NOT_DICOM = "Expected a DICOM photograph, to refer to. Got: an image file."
NO_OUTLINE = "Expected an outline of the photograph in the predictions. Got: none."
SEVERAL_FRAMES = (
    "Expected a DICOM photograph of one frame. Got: several, which have no place to each other. "
    "Save the frames as files."
)
UNREADABLE = "Expected a readable DICOM file. Got: a damaged one."
ODD_TAG = "Expected tags of patient and study with values that DICOM allows, to repeat."
SEXES = ("M", "F", "O")
"""Values that Patient's Sex (0010,0040) may have."""
SegmentationType = Literal["BINARY", "LABELMAP"]


def write_segmentations(
    predictions: Path,
    paths: list[Path],
    out: Path,
    kind: SegmentationType = "BINARY",
    key: bytes | None = None,
    recursive: bool = False,
    ids: Ids = "name",
    reports: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write the outlines of DICOM photographs as DICOM Segmentations, `<id>.dcm`.

    Segment 1 is the disc, rim and cup together, and segment 2 the cup; in a LABELMAP, whose
    segments cannot overlap, segment 1 is the rim.

    Args:
        predictions: folder that `predict` wrote, or one with `masks/<id>.png` of 0, 1, 2.
        paths: the same photographs (see `list_photographs`).
        out: new or empty folder.
        kind: BINARY, which more viewers read, or LABELMAP, which is smaller.
        key: key that hashed the ids, if one did.
        recursive: see `list_photographs`.
        ids: see `list_photographs`.
        reports: whether the vertical ratios in `measurements.csv` are written, too, as structured
            reports `<id>.sr.dcm` (see `dicom_sr`).
        overwrite: whether `out` may hold earlier ones, which are replaced (see
            `unfinished.require_replaceable`).

    Returns:
        A row per photograph: image, status ("ok", or "not_written") and reason.

    Raises:
        InputError: no such predictions, `out` is not empty, highdicom is not installed, or see
            `list_photographs`.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise InputError(
            "Expected the package highdicom. Got: not installed. Run: "
            "pip install 'fundus-uda[export]'"
        )
    if not (predictions / "masks").is_dir():
        raise InputError(
            f"Expected a folder that `predict` wrote, with masks, at {predictions}. Got: another, "
            f"or none."
        )
    require_replaceable(out, "dicom", overwrite)
    measured = read_predictions(predictions).table.set_index("image") if reports else None
    files = list_photographs(paths, key, recursive, ids)
    rows = []
    with rewritten(out, "dicom"):
        for file in progress(files, "segmentations", len(files)):
            mask = predictions / "masks" / f"{file.id}.png"
            with silently():
                reason = _write_one(file, mask, out, kind, measured)
            status = "not_written" if reason else "ok"
            rows.append({"image": file.id, "status": status, "reason": reason})
    return pd.DataFrame(rows, columns=["image", "status", "reason"])


def _write_one(
    file: PhotographFile,
    mask: Path,
    out: Path,
    kind: SegmentationType,
    measured: pd.DataFrame | None,
) -> str:
    """Write segmentation and report of one photograph; return the reason why not, else ""."""
    try:
        if not is_dicom(file.path):
            return NOT_DICOM
        header = pydicom.dcmread(file.path, stop_before_pixels=True, force=True)
        frames = int(header.get("NumberOfFrames") or 1)
    except Exception:  # damaged bytes may raise anything; a library's message may quote a tag
        return UNREADABLE
    if frames > 1:
        return SEVERAL_FRAMES
    if not mask.is_file():
        return NO_OUTLINE
    if lacking := [tag for tag in NEEDED if not header.get(tag)]:
        return f"Expected a DICOM file with {', '.join(NEEDED)}. Got: one without {lacking[0]}."
    with Image.open(mask) as opened_mask:
        classes = np.asarray(opened_mask)
    if classes.shape != (header.Rows, header.Columns):
        return (
            f"Expected an outline of {header.Columns}x{header.Rows} pixels. Got: "
            f"{classes.shape[1]}x{classes.shape[0]}. Predict the same photographs anew."
        )
    try:
        made = {f"{file.id}.dcm": _stored(segmentation_of(header, classes, kind))}
        if measured is not None:
            ratio, eye = (measured[name][file.id] for name in ("vertical_cdr", "laterality"))
            report = report_of(with_empty_tags(header), float(ratio), str(eye))
            made[f"{file.id}.sr.dcm"] = _stored(report)
    except (ValueError, TypeError):  # of a tag that cannot be repeated; the text may quote it
        odd = ", ".join(tag for tag in MAY_BE_EMPTY if _is_odd(header, tag)) or "one of them"
        return f"{ODD_TAG} Got: another of {odd}. Correct the file, or take its tag away."
    for name, content in made.items():
        with replacing(out / name) as temporary:
            temporary.write_bytes(content)
    return ""


def _is_odd(header: pydicom.Dataset, tag: str) -> bool:
    """Check whether a text of a header has a form that DICOM does not allow."""
    if not header.get(tag):
        return False
    try:
        validate_value(header[tag].VR, str(header[tag].value), RAISE)
    except ValueError:
        return True
    return tag == "PatientSex" and header.PatientSex not in SEXES


def _stored(made: pydicom.Dataset) -> bytes:
    stream = BytesIO()
    made.save_as(stream)
    return stream.getvalue()


def segmentation_of(
    header: pydicom.Dataset, mask: Mask, kind: SegmentationType = "BINARY"
) -> pydicom.Dataset:
    """Make the DICOM Segmentation of a photograph's mask.

    Args:
        header: data set of the photograph, of one frame, with the tags `NEEDED`.
        mask: (H, W) uint8 in {0, 1, 2}, of the same size.
        kind: see `write_segmentations`.
    """
    import highdicom as hd

    binary = kind == "BINARY"
    stacked = np.stack([mask != BACKGROUND, mask == CUP], axis=-1)[None]
    names = ("Optic disc" if binary else "Rim of optic disc", "Optic cup")
    made_by = hd.AlgorithmIdentificationSequence(
        name="fundus-uda", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    segments = [
        hd.seg.SegmentDescription(
            number,
            name,
            codes.SCT.AnatomicalStructure,
            code,
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            made_by,
        )
        for number, name, code in zip((1, 2), names, (DISC, CUP_OF_DISC), strict=True)
    ]
    source = _as_enhanced(header)
    made: pydicom.Dataset = hd.seg.Segmentation(
        source_images=[source],
        pixel_array=stacked if binary else mask[None],
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=SERIES,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="fundus-uda",
        manufacturer_model_name="fundus-uda",
        software_versions=__version__,
        device_serial_number="0",
        content_label="OPTIC_DISC_CUP",
        omit_empty_frames=False,
        coding_schemes=coding_schemes(),
        specific_character_set=UTF_8,
    )
    made.PatientOrientation = header.get("PatientOrientation")  # rows and columns are its
    if "PixelSpacing" not in header:  # a size that nobody stated
        made.SharedFunctionalGroupsSequence[0].pop("PixelMeasuresSequence", None)
    return made


def with_empty_tags(header: pydicom.Dataset) -> pydicom.Dataset:
    """Return a copy of a photograph's header that has all of the tags `MAY_BE_EMPTY`."""
    source = copy(header)
    for tag in MAY_BE_EMPTY:
        if tag not in source:
            setattr(source, tag, "OP" if tag == "Modality" else None)
    return source


def _as_enhanced(header: pydicom.Dataset) -> pydicom.Dataset:
    """Return a copy of a photograph's header with the functional groups that highdicom asks for.

    An ophthalmic photograph may have several frames, but has no functional groups.
    """
    source = with_empty_tags(header)
    measures, shared = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = header.get("PixelSpacing") or [1, 1]
    measures.SliceThickness = 1
    shared.PixelMeasuresSequence = [measures]
    source.NumberOfFrames = 1
    source.SharedFunctionalGroupsSequence = [shared]
    source.PerFrameFunctionalGroupsSequence = [pydicom.Dataset()]
    return source
