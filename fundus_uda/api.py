"""The commands as functions: from Python, `import fundus_uda` and call `fundus_uda.predict(...)`.

What is heavy is imported when one of them is first asked for. Each function does what the command
of its name does, with the same options and the same errors (`fundus_uda.errors`).

The examples below run in a folder that holds `photos/`, a few photographs around the disc;
`source/`, a labelled set of another camera (`folder:`); and `adapted/`, the folder of a run.

Progress and notes are printed to stderr; inside `with fundus_uda.output.quietly():` they are not.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fundus_uda import weights
from fundus_uda.clinic.listing import Ids, read_key
from fundus_uda.clinic.outlining import outline_photograph
from fundus_uda.clinic.parts import parse_part
from fundus_uda.clinic.predict import predict as predict_files
from fundus_uda.config.read import Profile
from fundus_uda.data.inspection import cropped_if_whole, load_labelled
from fundus_uda.data.samples import Sample, require_masks
from fundus_uda.engine.device import pick_device
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Mask, Photograph
from fundus_uda.output import note
from fundus_uda.paths import user_path
from fundus_uda.recipe.adapt import adapt as adapt_to
from fundus_uda.segmentation import model as segmentation
from fundus_uda.segmentation.evaluation import evaluate as evaluate_samples

Paths = str | Path | Sequence[str | Path]
"""One path or several."""


class Model(segmentation.Model):
    """A trained network that outlines arrays; it goes wherever a model is asked for.

    >>> import fundus_uda
    >>> model = fundus_uda.load_model("adapted", device="cpu")
    >>> model.settings.method, model.settings.data.size
    ('source', 64)
    """

    def outline(self, photograph: Photograph) -> Mask:
        """Outline disc and cup in a photograph: find the disc, outline it, remove small parts.

        The mask is that of `predict`, pixel for pixel.

        Args:
            photograph: (H, W, 3) uint8 RGB, whole or a crop around the disc.

        Returns:
            (H, W) uint8: 0 background, 1 rim, 2 cup. All background where `predict` would give the
            status `no_disc` or `network_unsure`.

        Raises:
            InputError: an array of another shape or type.

        >>> import fundus_uda
        >>> from fundus_uda.data.synthetic import render
        >>> photograph, _ = render("a", 0, 128)
        >>> mask = fundus_uda.load_model("adapted", device="cpu").outline(photograph)
        >>> mask.shape, mask.dtype.name, sorted(set(mask.ravel().tolist()))
        ((128, 128), 'uint8', [0, 1, 2])
        """
        found = np.asarray(photograph)
        if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8 or 0 in found.shape:
            raise InputError(
                f"Expected a photograph (H, W, 3) of uint8, RGB. Got: {found.dtype} of shape "
                f"{found.shape}. Convert it, for example by np.asarray(image.convert('RGB'))."
            )
        return outline_photograph(self, found)


def load_model(
    path: str | Path, device: str | torch.device = "auto", checkpoint: CheckpointName = "last"
) -> Model:
    """Load a MODEL: a run folder, a folder that `adapt` wrote, or a file.

    Args:
        path: where it is; a file is a checkpoint, or one that `export` wrote (.safetensors, .onnx).
        device: where to put it: "auto", "cpu", "cuda", "cuda:1", "mps" or a device of torch.
        checkpoint: checkpoint of a run folder: "last", or the one "selected" by mean affinity.

    Raises:
        InputError: no such model, a damaged file, or one of another kind of network.
    """
    loaded = segmentation.load_model(path, device, checkpoint)
    return Model(**{field.name: getattr(loaded, field.name) for field in fields(loaded)})


def predict(
    photos: Paths,
    *,
    model: str | Path | segmentation.Model | None = None,
    out: str | Path,
    key_file: str | Path | None = None,
    before: str | Path | None = None,
    recursive: bool = False,
    ids: Ids = "name",
    part: str | None = None,
    overwrite: bool = False,
    checkpoint: CheckpointName = "last",
    device: str | torch.device = "auto",
) -> pd.DataFrame:
    """Outline and measure disc and cup in photographs, as `fundus-uda predict` does.

    Args:
        photos: images, DICOM files, folders of them, CSV files or `KIND:PATH[#SPLIT]`.
        model: a MODEL, or what `load_model` returns, which stays on its device; None for the
            network that comes with the program, which learnt from rendered eyes alone.
        out: new or empty folder for masks, pictures, tables and `report.html`; or one in which the
            same was stopped, which goes on.
        key_file: file whose bytes key the hashes by which results are named, in place of ids.
        before: folder that this function wrote of the same photographs with the model before.
        recursive: whether the files in all folders below count, too.
        ids: origin of the ids, "name" or "path".
        part: "I/N" for the I-th of N parts of the photographs alone, which `fundus-uda merge` puts
            together.
        overwrite: whether what this function wrote into `out` before is replaced, if nothing there
            was added or changed since.
        checkpoint: checkpoint of a run folder, "last" or "selected".
        device: where to put the network.

    Returns:
        The table `measurements.csv`, a row per photograph (see `clinic.predict.predict`). A
        photograph that cannot be measured has a row with its `status` and `reason`.

    Raises:
        InputError: wrong model, photographs or folder.

    >>> import fundus_uda
    >>> table = fundus_uda.predict("photos", model="adapted", out="predictions", device="cpu")
    >>> table["image"].tolist()[:2], set(table["status"]) <= {"ok", "flagged"}
    (['a0000', 'a0001'], True)
    >>> sorted(path.name for path in Path("predictions/masks").glob("a0000*"))
    ['a0000.nii.gz', 'a0000.png']
    """
    key = read_key(Path(key_file)) if key_file is not None else None
    if model is None:
        note(
            "No model is named: the network that comes with the program is taken. It learnt from "
            "rendered eyes alone; `fundus-uda adapt` fits it to a camera."
        )
    loaded = weights.RENDERED if model is None else model
    if not isinstance(loaded, segmentation.Model):
        loaded = segmentation.load_model(loaded, pick_device(device), checkpoint)
    return predict_files(
        loaded,
        [user_path(path) for path in _listed(photos)],
        Path(out),
        key,
        Path(before) if before is not None else None,
        recursive=recursive,
        ids=ids,
        part=parse_part(part) if part is not None else None,
        overwrite=overwrite,
    )


def evaluate(
    model: str | Path | segmentation.Model,
    data: str | Sequence[Sample],
    *,
    annotation: str | None = None,
    checkpoint: CheckpointName = "last",
    device: str | torch.device = "auto",
) -> pd.DataFrame:
    """Score a model on labelled photographs, as `fundus-uda evaluate` does, but write nothing.

    Args:
        model: a MODEL, or what `load_model` returns, which stays on its device.
        data: data URI `KIND:PATH[#SPLIT]`, or samples that `load_samples` returns. Whole
            photographs are cropped around the disc by their masks.
        annotation: annotation whose masks a data URI stands for; None for its default.
        checkpoint: checkpoint of a run folder, "last" or "selected".
        device: where to put the network.

    Returns:
        The table `dice.csv`, a row per photograph: `dice_cup`, `dice_disc` and `dice_mean` in
        [0, 1], vertical ratios and more (see `segmentation.evaluation.evaluate`).

    Raises:
        InputError: wrong model or data, photographs without masks, or unreadable ones.

    >>> import fundus_uda
    >>> scores = fundus_uda.evaluate("adapted", "folder:source", device="cpu")
    >>> len(scores), bool(scores["dice_disc"].between(0, 1).all())
    (8, True)
    """
    if isinstance(data, str):
        samples = load_labelled(data, annotation)
    else:
        samples = cropped_if_whole(require_masks(list(data), "the samples"), "the samples")
    if not isinstance(model, segmentation.Model):
        model = segmentation.load_model(model, pick_device(device), checkpoint)
    return evaluate_samples(model, samples)


def adapt(
    *,
    target: Paths,
    out: str | Path,
    source: str | None = None,
    model: str | Path | None = None,
    overrides: Sequence[str] = (),
    outlined: str | Path | None = None,
    seed: int = 0,
    profile: Profile = "cpu",
    key_file: str | Path | None = None,
    resume: bool = False,
    recursive: bool = False,
    ids: Ids = "name",
    device: str | torch.device = "auto",
) -> pd.DataFrame:
    """Adapt to photographs without labels, then outline them, as `fundus-uda adapt` does.

    Args:
        target: photographs of the other camera (see `predict`), or one `KIND:PATH[#SPLIT]`, whose
            masks are read for scores alone.
        out: new or empty folder, which becomes a MODEL; or with `resume` the one to continue.
        source: data URI `KIND:PATH[#SPLIT]` of labelled photographs of another camera. Without it
            and without `model`, rendered eyes take their place.
        model: MODEL to start from. Without `source`, adaptation sees no source image.
        overrides: `key=value` for the settings of all stages.
        outlined: folder of a few of these photographs, outlined by a reader (see `suggest`), or
            their data URI, which are learnt beside the source. Five or more decide which stages
            are kept, and the network is adjusted to them at the end.
        seed: random seed of all stages.
        profile: "cpu", or "paper" for the paper's size and network.
        key_file: see `predict`.
        resume: continue an adaptation that was stopped.
        recursive: see `predict`.
        ids: see `predict`.
        device: where to train.

    Returns:
        The table `stages.csv`, a row per stage (see `recipe.adapt.adapt`). The outlines are in
        `out/predictions`.

    Raises:
        InputError: wrong data, settings or folder.
        RunError: a loss is not finite in the first stage, with no network before it, or there is no
            room to write.

    >>> import fundus_uda
    >>> stages = fundus_uda.adapt(
    ...     source="folder:source", target="photos", out="new", device="cpu",
    ...     overrides=["data.size=64", "affinity.stride=1", "steps=1", "batch_size=2"],
    ... )
    >>> stages["stage"].tolist()[0]
    'source'
    >>> fundus_uda.load_model("new", device="cpu").settings.data.source
    'folder:source'
    """
    return adapt_to(
        [str(path) for path in _listed(target)],
        out,
        device,
        source=source,
        model=model,
        seed=seed,
        profile=profile,
        key=read_key(Path(key_file)) if key_file is not None else None,
        overrides=tuple(overrides),
        outlined=outlined,
        continue_run=resume,
        recursive=recursive,
        ids=ids,
    )


def _listed(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)
