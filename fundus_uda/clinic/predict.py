"""A batch of photographs: files in; masks, pictures, measurements and a report out."""

import json
import platform
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import monai
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from fundus_uda import __version__
from fundus_uda.clinic.crops import (
    OtherPhotographError,
    add_rows,
    listed,
    region_columns,
    row_or_reason,
)
from fundus_uda.clinic.listing import Ids, PhotographFile, list_photographs
from fundus_uda.clinic.outlining import Outlined, outlined_region
from fundus_uda.clinic.parts import Part
from fundus_uda.clinic.pictures import write_locator, write_pictures, write_without_disc
from fundus_uda.clinic.reading import read
from fundus_uda.clinic.report.numbers import (
    read_predictions,
    reference_to,
    require_same_images,
)
from fundus_uda.clinic.report.page import write_report
from fundus_uda.clinic.report.summary import BEFORE, columns, summary_of
from fundus_uda.data.samples import Sample
from fundus_uda.engine.checkpoint import checksum
from fundus_uda.engine.device import retain_freed_memory
from fundus_uda.engine.fingerprint import fingerprint
from fundus_uda.engine.methods import training_domains
from fundus_uda.files import write_picture, write_table, write_whole
from fundus_uda.masks.classes import Mask
from fundus_uda.masks.measurements import measure, plausible_spacing
from fundus_uda.masks.nifti import write_mask_nifti
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.quality import agreement, flags_of
from fundus_uda.unfinished import Unfinished

FOLDERS = ("masks", "overlays", "crops", "affinity", "locator")


def predict(
    model: Model,
    paths: list[Path],
    out: Path,
    key: bytes | None = None,
    before: Path | None = None,
    reference: list[Sample] | None = None,
    note: str = "",
    recursive: bool = False,
    ids: Ids = "name",
    part: Part | None = None,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Outline and measure disc and cup in photographs, whole ones or crops around the disc.

    Each of a few threads takes a photograph from its file to its row. One thread at a time uses
    the network, which therefore does not wait for the disk.

    Writes into `out`, by the photograph's id:

    - `masks/<id>.png` and `.nii.gz`: 0 background, 1 rim, 2 cup, at the photograph's own size,
      without small components.
    - `overlays/<id>.jpg`, `crops/<id>.jpg` and `affinity/<id>.png`: see `pictures`; and
      `locator/<id>.jpg` of a photograph that is no crop. Without a disc, only `crops/<id>.jpg`.
      Whole photographs are shown by their round field, if there is one. None of these if DICOM
      says that the pixels show text.
    - `measurements.csv` and `.json`, `summary.json` and `report.html`.

    Args:
        model: trained model.
        paths: see `list_photographs`.
        out: new or empty folder, created if needed; or one in which the same was stopped, which
            goes on.
        key: key that hashes the ids (see `list_photographs`).
        before: folder that this function wrote of the same photographs with another model. Its
            agreement with this model is measured, and it stands beside this one in the report.
        reference: samples with masks of the same photographs, against which the report scores.
        note: note to readers of the report, at its top.
        recursive: see `list_photographs`.
        ids: see `list_photographs`.
        part: part of the photographs to take, of several that together are all of them.
        overwrite: whether `out` may hold earlier predictions, which are replaced (see
            `unfinished.require_replaceable`).

    Returns:
        The rows of `measurements.csv`, with the columns `summary.columns()`: status is one of
        `summary.STATUSES`: ok, flagged, no_disc (the search finds none), network_unsure (it finds
        the place, but the network outlines no disc there) or unreadable; flags are names of
        `quality.FLAGS` separated by spaces; laterality is R or L, or blank if unknown; then come
        the keys of `measure` and `quality.quality`, Dice with `before`, and the region around the
        disc. All columns after the flags are blank unless the status is ok or flagged.

    Raises:
        InputError: see `list_photographs`; or `out` is not empty, or `before` is not a folder that
            this function wrote of the same photographs, or none of them belongs to the part.
    """
    unfinished = Unfinished(out, "predict", overwrite)
    unfinished.require_room()
    files = list_photographs(paths, key, recursive, ids)
    if before is not None:
        require_same_images([file.id for file in files], read_predictions(before))
    if part is not None:
        files = part.of(files)
    one_at_a_time = replace(model, network=_InTurn(model.network))
    if model.device.type == "cpu":
        retain_freed_memory()
    row_of = partial(_predict_one, one_at_a_time, out, before)
    with unfinished.begun(_fingerprint(model, files, before)) as rows:
        for folder in FOLDERS:
            (out / folder).mkdir(exist_ok=True)
        add_rows(rows, files, partial(row_or_reason, row_of), unfinished, "photographs")
        table = pd.DataFrame([{"flags": ""} | row for row in rows], columns=list(columns()))
        about = _about(model) | {"note": note} | ({"part": str(part)} if part else {})
        write_tables(table, about, out, before)
        write_report(out, before, reference)
    return table


def _fingerprint(model: Model, files: list[PhotographFile], before: Path | None) -> str:
    """Compute the fingerprint of what rows depend on: model, photographs, what they compare to."""
    then = (before / "summary.json").read_text(encoding="utf-8") if before else None
    what = [listed(file) for file in files]
    weights = checksum(model.network.state_dict())
    return fingerprint([what, model.settings.model_dump(mode="json"), weights, then])


def _predict_one(
    model: Model, out: Path, before: Path | None, file: PhotographFile
) -> dict[str, Any]:
    """Read a photograph, find its disc, outline, measure and write it; return its row."""
    photograph = read(file)
    row: dict[str, Any] = {"image": file.id, "status": photograph.status}
    row["reason"] = photograph.reason
    if photograph.pixels is None:
        return row
    found = outlined_region(model, photograph.pixels)
    if not isinstance(found, Outlined):
        if not photograph.burned_in_text:
            write_without_disc(out, file.id, photograph.pixels)
        return row | {"status": found.status, "reason": found.reason}
    row["laterality"] = photograph.laterality
    spacing_mm = plausible_spacing(found.seen, photograph.spacing_mm)
    row |= measure(found.seen, spacing_mm, photograph.laterality)
    row |= found.quality | region_columns(found.region)
    if before is not None:
        row |= _agreement_with(before / "masks" / f"{file.id}.png", found.mask)
    implausible = spacing_mm != photograph.spacing_mm
    flags = flags_of(row, photograph.burned_in_text, implausible)
    row |= {"status": "flagged" if flags else "ok", "flags": " ".join(flags)}

    write_picture(out / "masks" / f"{file.id}.png", Image.fromarray(found.mask))
    write_mask_nifti(found.mask, out / "masks" / f"{file.id}.nii.gz", spacing_mm)
    if not photograph.burned_in_text:
        write_pictures(out, file.id, found.around, found.seen, found.prediction.affinity)
        if not found.region.is_crop:
            write_locator(out, file.id, photograph.pixels)
    return row


def write_tables(
    table: pd.DataFrame, about: dict[str, Any], out: Path, before: Path | None
) -> None:
    """Write `measurements.csv` and `.json`, and `summary.json`.

    Args:
        table: rows of `predict`.
        about: what `summary.json` says beside the numbers: model, versions, time and note.
        out: folder to write to.
        before: folder of the model before, if any.
    """
    write_table(out / "measurements.csv", table)
    write_whole(out / "measurements.json", table.to_json(orient="records", indent=1))
    beside = {"before": reference_to(before, out) if before else None}
    text = json.dumps(summary_of(table) | about | beside, indent=2)
    write_whole(out / "summary.json", f"{text}\n")


class _InTurn(nn.Module):
    """A network that one thread at a time uses, while the work before and after it overlaps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.lock = network, Lock()

    def forward(self, images: Tensor) -> Tensor:
        with self.lock:
            logits: Tensor = self.network(images)
            return logits


def _agreement_with(file: Path, mask: Mask) -> dict[str, float]:
    """Compute the Dice with the other model's mask in a file; 0 if that model found no disc.

    Raises:
        OtherPhotographError: the mask has another size.
    """
    if not file.is_file():
        return dict.fromkeys(BEFORE, 0.0)
    with Image.open(file) as opened:
        other = np.asarray(opened)
    if other.shape != mask.shape:
        (height, width), (other_height, other_width) = mask.shape, other.shape[:2]
        raise OtherPhotographError(
            f"Expected a mask of the same photograph, {width}x{height}, at {file}. Got: one of "
            f"{other_width}x{other_height}. Give as --before what `predict` wrote of these "
            f"photographs, and choose another --out."
        )
    return dict(zip(BEFORE, agreement(other, mask), strict=True))


def _about(model: Model) -> dict[str, Any]:
    """Describe the model and the software, and of its data the kind alone.

    The rest of a data URI may name patients.
    """
    settings = model.settings
    used = training_domains(settings.method, settings.data.source, settings.data.target)
    labelled, unlabelled = (uri and uri.partition(":")[0] for uri in used)
    return {
        "model": {"method": settings.method, "seed": settings.seed, "step": model.step,
                  "encoder": settings.network.encoder, "size": settings.data.size,
                  "labelled": labelled, "unlabelled": unlabelled,
                  "goes_on": settings.start is not None},
        "versions": {"fundus-uda": __version__, "torch": str(torch.__version__),
                     "monai": monai.__version__, "python": platform.python_version()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
