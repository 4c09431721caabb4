"""A batch of photographs: files in; masks, pictures, measurements and a report out."""

import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import monai
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from fundus_uda import __version__
from fundus_uda.anatomy import without_specks
from fundus_uda.clinic.crops import (
    NO_DISC,
    THREADS,
    region_columns,
    row_or_reason,
)
from fundus_uda.clinic.localise import locate_disc
from fundus_uda.clinic.measurements import measure
from fundus_uda.clinic.nifti import write_mask_nifti
from fundus_uda.clinic.pictures import write_pictures, write_without_disc
from fundus_uda.clinic.reading import Source, list_photographs, read
from fundus_uda.clinic.report import write_report
from fundus_uda.clinic.report_data import read_predictions, require_same_images
from fundus_uda.clinic.summary import BEFORE, COLUMNS, summary_of
from fundus_uda.clinic.trust import agreement, flags_of, is_disc, trust
from fundus_uda.data.samples import Sample
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import require_empty
from fundus_uda.model import Model
from fundus_uda.prediction import class_probabilities, most_probable, outline

FOLDERS = ("masks", "overlays", "crops", "affinity")


def predict(
    model: Model,
    paths: list[Path],
    out: Path,
    device: torch.device,
    key: bytes | None = None,
    before: Path | None = None,
    reference: list[Sample] | None = None,
    note: str = "",
) -> pd.DataFrame:
    """Outline and measure disc and cup in photographs, whole ones or crops around the disc.

    Each photograph goes from its file to its row in one of a few threads, and one thread at a
    time is in the network, which so waits for no disk.

    Written into `out`, by the photograph's id:
    `masks/<id>.png` and `.nii.gz` (0 background, 1 rim, 2 cup, at the photograph's own size,
    `without_specks`);
    `overlays/<id>.png`, `crops/<id>.jpg` and `affinity/<id>.png` (see `pictures`; without a disc,
    `crops/<id>.jpg` alone, the round field if there is one; none where DICOM says that the pixels
    show text);
    `measurements.csv` and `.json`, `summary.json` and `report.html`.

    Args:
        model: of `load_model`.
        paths: what `list_photographs` takes.
        out: a new or empty folder, made if need be.
        device: of the model.
        key: hashes the ids (see `list_photographs`).
        before: what this function wrote of the same photographs with another model; adds that
            model's agreement with this one, and stands beside it in the report.
        reference: samples with masks of the same photographs, against which the report scores.
        note: to readers of the report, at its top.

    Returns:
        The rows of `measurements.csv`, whose columns are `summary.COLUMNS`: status is ok, flagged,
        no_disc or unreadable; flags are names of `trust.FLAGS` with spaces between; then the keys
        of `measure` and `trust.trust`, Dice with `before`, and the region around the disc. All
        after the flags is blank for no_disc and unreadable.

    Raises:
        InputError: see `list_photographs`; `out` holds something; `before` is no folder that this
            function wrote of the same photographs.
    """
    require_empty(out)
    sources = list_photographs(paths, key)
    if before is not None:
        require_same_images([source.id for source in sources], read_predictions(before))
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    segmenter = _InTurn(model.segmenter)

    def segment(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return most_probable(class_probabilities(segmenter, model.settings, crop[None], device)[0])

    def row_of(source: Source) -> dict[str, Any]:
        photograph = read(source)
        row: dict[str, Any] = {"image": source.id, "status": photograph.status,
                               "reason": photograph.reason}  # fmt: skip
        if photograph.pixels is None:
            return row
        size = photograph.pixels.shape[:2]
        region = locate_disc(photograph.pixels, segment)
        mask = np.zeros(size, np.uint8)
        if region is not None:
            around = region.crop(photograph.pixels)
            prediction = outline(segmenter, model.settings, around, device)
            mask = region.paste(without_specks(prediction.mask), size)
            seen = region.crop(mask)  # without what lies beyond the photograph's border
            trusted = trust(around, seen, prediction)
        if region is None or not mask.any() or not is_disc(trusted):
            if not photograph.burned_in_text:
                write_without_disc(out, source.id, photograph.pixels)
            return row | {"status": "no_disc", "reason": NO_DISC}
        row |= measure(seen, photograph.spacing_mm, photograph.laterality)
        row |= trusted | region_columns(region)
        if before is not None:
            row |= _agreement_with(before / "masks" / f"{source.id}.png", mask)
        flags = flags_of(row, photograph.burned_in_text)
        row |= {"status": "flagged" if flags else "ok", "flags": " ".join(flags)}

        Image.fromarray(mask).save(out / "masks" / f"{source.id}.png")
        write_mask_nifti(mask, out / "masks" / f"{source.id}.nii.gz", photograph.spacing_mm)
        if not photograph.burned_in_text:
            write_pictures(out, source.id, around, seen, prediction.affinity)
        return row

    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(partial(row_or_reason, row_of), sources)
        console = Console(stderr=True)
        rows = list(track(done, "Photographs", len(sources), console=console, transient=True))
    table = pd.DataFrame([{"flags": ""} | row for row in rows], columns=list(COLUMNS))
    table.to_csv(out / "measurements.csv", index=False)
    table.to_json(out / "measurements.json", orient="records", indent=1)
    beside = {"note": note, "before": os.path.relpath(before, out) if before else None}
    text = json.dumps(summary_of(table) | _about(model) | beside, indent=2)
    (out / "summary.json").write_text(text + "\n", encoding="utf-8")
    write_report(out, before, reference)
    return table


class _InTurn(nn.Module):
    """A network that one thread at a time is in; what comes before and after it overlaps."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter, self.lock = segmenter, Lock()

    def forward(self, images: Tensor) -> Tensor:
        with self.lock:
            logits: Tensor = self.segmenter(images)
            return logits


def _agreement_with(file: Path, mask: NDArray[np.uint8]) -> dict[str, float]:
    """0 where the other model found no disc, which this one did."""
    if not file.is_file():
        return dict.fromkeys(BEFORE, 0.0)
    with Image.open(file) as opened:
        other = np.asarray(opened)
    if other.shape != mask.shape:
        raise InputError(f"Expected a mask of the same photograph at {file}. Got: another size.")
    return dict(zip(BEFORE, agreement(other, mask), strict=True))


def _about(model: Model) -> dict[str, Any]:
    """Which model, and in what; no addresses of data, which may name patients."""
    settings = model.settings
    return {
        "model": {"method": settings.method, "seed": settings.seed, "step": model.step,
                  "encoder": settings.network.encoder, "size": settings.data.size},
        "versions": {"fundus-uda": __version__, "torch": str(torch.__version__),
                     "monai": monai.__version__, "python": platform.python_version()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
