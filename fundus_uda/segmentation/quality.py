"""Quality of a mask without a reference: measures, flags, and an estimate of its Dice.

The estimate and the limits of the flags were chosen on the 321 REFUGE photographs, each once as it
is, or blurred, noisy, dark, bright, hazy, tinted or zoomed, with a network trained on REFUGE. The
network had therefore seen these photographs, but not degraded. No other set was used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fundus_uda.data.field import brightest, darkest, field_of_view
from fundus_uda.data.samples import Sample
from fundus_uda.engine.batches import evenly_spaced
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask, Photograph
from fundus_uda.masks.dice import dice_cup_disc
from fundus_uda.masks.measurements import DISC_MM
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import Prediction, predictions

QUALITY = ("estimated_dice", "flip_dice_cup", "flip_dice_disc", "mean_affinity", "disc_share",
           "disc_ellipse_dice", "cup_ellipse_dice", "sharpness", "field_share", "dark_share",
           "bright_share")  # fmt: skip
"""Keys of the measures of `quality`."""

SIDE = 256
"""Longer side in pixels at which photographs are judged; masks are judged at up to twice that."""

WEIGHTS = {"flip_dice_cup": 0.34, "flip_dice_disc": 0.49, "disc_ellipse_dice": 0.41,
           "cup_ellipse_dice": 0.31}  # fmt: skip
INTERCEPT = -0.59
"""Intercept of the least-squares fit to the mean of the two Dice, whose weights are `WEIGHTS`.

The fit has a Spearman correlation of 0.80 and a mean absolute error of 0.05. For the networks of
`fundus-uda demo` before and after adaptation, on its rendered photographs, which are more alike,
the correlation is 0.23 and 0.49, and the mean estimate 0.84 and 0.89 where the mean Dice is 0.90
and 0.94.
"""

ROUND, FIRM_DISC, FIRM_CUP = 0.95, 0.87, 0.6
"""Least `disc_ellipse_dice`, and least Dice of disc and of cup between two predictions."""


@dataclass(frozen=True)
class Flag:
    """One reason to look at a photograph before its measurements are used."""

    is_raised: Callable[[Mapping[str, Any]], bool]
    """Whether a row of measures raises the flag."""
    limit: str
    """The limit in words."""
    advice: str
    """What to do with such a photograph."""


TEXT_IN_PIXELS = "text_in_pixels"
"""Flag that is raised if DICOM says that the pixels show text."""
IMPLAUSIBLE_SPACING = "implausible_spacing"
"""Flag that is raised if by the file's pixel spacing the disc would be no human one."""

FLAGS = {
    "blurred": Flag(
        lambda row: row["sharpness"] < 0.4,
        "Sharpness below 0.4; good photographs have about 0.45 to 0.67.",
        "Look whether the edges of disc and cup can be seen. If not, take the photograph anew.",
    ),
    "noisy": Flag(
        lambda row: row["sharpness"] > 0.75,
        "Sharpness above 0.75; good photographs have about 0.45 to 0.67.",
        "Look for noise, strong sharpening or JPEG blocks, and check the edge of the cup.",
    ),
    "dark": Flag(
        lambda row: row["dark_share"] > 0.35,
        "More than 35 % of the eye has no colour above 50 of 255.",
        "Check the outlines where it is dark, or take the photograph anew.",
    ),
    "overexposed": Flag(
        lambda row: row["bright_share"] > 0.02,
        "More than 2 % of the eye has all colours above 245 of 255.",
        "Check the cup, whose edge is lost where the disc is white.",
    ),
    "little_field": Flag(
        lambda row: row["field_share"] < 0.5,
        "Less than half of the region shows the eye.",
        "Check that the whole disc is in the photograph.",
    ),
    "disc_size": Flag(
        lambda row: not 0.08 <= row["disc_share"] <= 0.75,
        "The disc covers less than 8 % or more than 75 % of the region.",
        "Check that the outlined structure is the disc, and the whole of it.",
    ),
    "disc_in_parts": Flag(
        lambda row: row["disc_components"] > 1,
        "The disc has more than one part.",
        "Do not use heights and widths: they reach from the first part to the last.",
    ),
    "disc_not_round": Flag(
        lambda row: row["disc_ellipse_dice"] < ROUND,
        f"Dice below {ROUND} between the disc and its ellipse.",
        "Check the outline of the disc: atrophy beside it or a vessel may have led it astray.",
    ),
    "no_cup": Flag(
        lambda row: row["cup_components"] == 0,
        "No pixel is cup.",
        "Look for a cup: a ratio of 0 is rare.",
    ),
    "cup_not_round": Flag(
        lambda row: row["cup_ellipse_dice"] < 0.91,
        "Dice below 0.91 between the cup and its ellipse.",
        "Check the outline of the cup, above all where vessels cross it.",
    ),
    "cup_at_disc_edge": Flag(
        lambda row: row["cup_touches_background"],
        "The cup touches the outside of the disc.",
        "Look for a notch. If there is none, do not use rim and disc damage stage.",
    ),
    "low_affinity": Flag(
        lambda row: row["mean_affinity"] < 0.99,
        "Mean affinity below 0.99.",
        "Switch the affinity map on and check the outlines where it is dark.",
    ),
    "unstable": Flag(
        lambda row: row["flip_dice_disc"] < FIRM_DISC or row["flip_dice_cup"] < FIRM_CUP,
        f"Mirrored, the photograph gets other outlines: Dice below {FIRM_DISC} for the disc or "
        f"{FIRM_CUP} for the cup.",
        "Do not use the measurements before the outlines are checked.",
    ),
    "low_estimate": Flag(
        lambda row: row["estimated_dice"] < 0.8,
        "Estimated Dice below 0.8.",
        "Do not use the measurements before the outlines are checked.",
    ),
    "models_disagree": Flag(
        lambda row: (
            row.get("before_dice_disc", 1) < FIRM_DISC or row.get("before_dice_cup", 1) < FIRM_CUP
        ),
        f"Dice with the model before adaptation below {FIRM_DISC} for the disc or {FIRM_CUP} for "
        "the cup.",
        "Show the outlines from before as well, and look which are right.",
    ),
    TEXT_IN_PIXELS: Flag(
        lambda row: bool(row.get(TEXT_IN_PIXELS)),
        "DICOM says that the pixels show text.",
        "It is not shown here, since the text may name the patient. Look at it in your viewer.",
    ),
    IMPLAUSIBLE_SPACING: Flag(
        lambda row: bool(row.get(IMPLAUSIBLE_SPACING)),
        f"By the pixel spacing, the disc is not {DISC_MM[0]} to {DISC_MM[1]} mm high and wide.",
        "Use ratios alone: millimetres are left blank.",
    ),
}
"""Flags by name. The limits let 1 to 2 per cent of the masks with a Dice of 0.8 or more fail; those
of the photograph lie beyond all photographs that were not degraded."""


def quality(photograph: Photograph, mask: Mask, prediction: Prediction) -> dict[str, float]:
    """Judge a photograph around the disc and its mask, without a reference.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 of the photograph, in {0, 1, 2}.
        prediction: prediction for the photograph.

    Returns:
        - estimated_dice: estimate of the mean of cup and disc Dice, in [0, 1].
        - flip_dice_cup, flip_dice_disc: see `Prediction`.
        - mean_affinity: mean of the prediction's affinity map.
        - disc_share: share of the disc in the photograph's area.
        - disc_ellipse_dice, cup_ellipse_dice: Dice between the structure and the ellipse of the
          same centre and second moments: 1 for any ellipse, NaN without the structure.
        - sharpness: detail of 1 to 2 pixels over detail of 2 to 4 at 256 pixels; about 0.45 to
          0.67 for a good photograph, less if it is blurred, more if it is noisy.
        - field_share: share of the photograph that shows the eye.
        - dark_share, bright_share: shares of the eye where the brightest colour is below 50, and
          where the darkest colour is above 245.
    """
    scale = min(1.0, 2 * SIDE / max(mask.shape))
    size = [max(1, round(length * scale)) for length in mask.shape[::-1]]
    small = np.asarray(Image.fromarray(mask).resize((size[0], size[1]), Image.Resampling.NEAREST))
    row = {
        "flip_dice_cup": prediction.flip_dice_cup,
        "flip_dice_disc": prediction.flip_dice_disc,
        "mean_affinity": float(prediction.affinity.mean()),
        "disc_share": float((mask != BACKGROUND).mean()),
        "disc_ellipse_dice": _ellipse_dice(small != BACKGROUND),
        "cup_ellipse_dice": _ellipse_dice(small == CUP),
        **_exposure(photograph),
    }
    estimate = INTERCEPT + sum(w * float(np.nan_to_num(row[n])) for n, w in WEIGHTS.items())
    return {"estimated_dice": float(np.clip(estimate, 0, 1)), **row}


def is_disc(row: Mapping[str, Any]) -> bool:
    """Check whether an outlined structure is a disc: round, or at least stable under flips.

    A structure that is neither is not measured, since a network outlines something in any picture
    that the search takes for an eye. On photographs of eyes, networks that have learnt the disc
    fail neither test.

    Args:
        row: measures of `quality`.
    """
    return bool(row["disc_ellipse_dice"] >= ROUND or row["flip_dice_disc"] >= FIRM_DISC)


def flags_of(
    row: Mapping[str, Any], text_in_pixels: bool = False, implausible_spacing: bool = False
) -> list[str]:
    """List the flags that a row raises, by their names in `FLAGS`.

    Args:
        row: measures of `measurements.measure` and of `quality`; before_dice_cup and
            before_dice_disc if there is another model to agree with.
        text_in_pixels: whether DICOM says that the pixels show text.
        implausible_spacing: whether `measurements.plausible_spacing` refused the file's spacing.
    """
    told = {**row, TEXT_IN_PIXELS: text_in_pixels, IMPLAUSIBLE_SPACING: implausible_spacing}
    return [name for name, flag in FLAGS.items() if flag.is_raised(told)]


def agreement(first: Mask, second: Mask) -> tuple[float, float]:
    """Compute the Dice of cup and of disc between two masks (H, W) of one photograph."""
    rows, columns = np.nonzero((first != BACKGROUND) | (second != BACKGROUND))
    if rows.size == 0:
        return 1.0, 1.0
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return dice_cup_disc(first[box], second[box])


def _exposure(photograph: Photograph) -> dict[str, float]:
    height, width = photograph.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BOX))
    field = field_of_view(small)
    inside = field
    if not field.all():
        inside = ndimage.binary_erosion(field, iterations=6, border_value=1)
        inside = inside if inside.any() else np.ones_like(field)
    green = small[..., 1].astype(np.float64)
    smooth = [ndimage.gaussian_filter(green, sigma) for sigma in (1, 2, 4)]
    fine, coarse = (float(np.std((a - b)[inside])) for a, b in pairwise(smooth))
    return {
        "sharpness": fine / max(coarse, 1e-6),
        "field_share": float(field.mean()),
        "dark_share": float((brightest(small)[inside] < 50).mean()),
        "bright_share": float((darkest(small)[inside] > 245).mean()),
    }


def _ellipse_dice(structure: NDArray[np.bool_]) -> float:
    points = np.stack(np.nonzero(structure)).astype(np.float64)
    if points.size == 0:
        return float("nan")
    centre = points.mean(axis=1)
    pixel = np.eye(2) / 12  # a pixel's own second moment
    spread = np.cov(points, bias=True) + pixel
    y, x = (np.arange(n) - at for n, at in zip(structure.shape, centre, strict=True))
    (yy, yx), (_, xx) = np.linalg.inv(spread)
    inside = (yy * y**2)[:, None] + np.outer(2 * yx * y, x) + xx * x**2 <= 4
    return float(2 * (structure & inside).sum() / (structure.sum() + inside.sum()))


MAX_PHOTOGRAPHS = 64
"""Largest number of photographs, evenly spaced, that an estimated mean is taken over."""


@dataclass(frozen=True)
class Judgement:
    """Judgement of a model on photographs without labels."""

    estimates: NDArray[np.float64]
    """Estimated Dice of each photograph, as from `quality`."""
    disc_share: float
    cup_share: float
    """Mean shares of the predicted disc and cup in the photographs' areas."""


def comparable(model: Model) -> Model:
    """Return a model that predicts with `data.tta_flips` and `data.fill_cup_hull`, as all others.

    Two models are then compared by their networks alone.
    """
    data = model.settings.data.model_copy(update={"tta_flips": True, "fill_cup_hull": True})
    return replace(model, settings=model.settings.model_copy(update={"data": data}))


def judge(model: Model, samples: list[Sample]) -> Judgement:
    """Judge a model on photographs without labels, at most `MAX_PHOTOGRAPHS` of them.

    Args:
        model: model to judge, made `comparable`.
        samples: photographs; masks are not read.
    """
    estimates, disc, cup = [], [], []
    for _, photograph, seen in predictions(
        comparable(model), evenly_spaced(samples, MAX_PHOTOGRAPHS)
    ):
        mask = remove_small_components(seen.mask)
        estimates.append(quality(photograph, mask, seen)["estimated_dice"])
        disc.append((mask != BACKGROUND).mean())
        cup.append((mask == CUP).mean())
    return Judgement(np.array(estimates), float(np.mean(disc)), float(np.mean(cup)))
