"""The data dictionary: unit and definition of each column of the CSV files that commands write."""

from dataclasses import dataclass

from fundus_uda.clinic.crops import REGION
from fundus_uda.clinic.report.summary import columns
from fundus_uda.masks.measurements import DISC_MM
from fundus_uda.segmentation.quality import QUALITY

_UNITS = {"pixels": "pixel", "mm": "mm", "mm2": "mm2", "ratio": "1"}
_PARTS = {"disc": "optic disc (rim and cup)", "cup": "optic cup"}


AUTOMORPH = {
    "image": "Name",
    "disc_height_pixels": "Disc_height",
    "disc_width_pixels": "Disc_width",
    "cup_height_pixels": "Cup_height",
    "cup_width_pixels": "Cup_width",
    "vertical_cdr": "CDR_vertical",
    "horizontal_cdr": "CDR_horizontal",
}
"""Columns that AutoMorph writes, too (Zhou et al., TVST 2022), and its names for them. It counts
pixels of its own, resized photographs; here they are those of the mask."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    table: str
    """File name of the table; `comparison.csv` of `compare --out` and `TABLE.csv` of `reproduce`
    stand for any name."""
    name: str
    unit: str
    """Unit; "1" for a ratio, "" for what has none."""
    definition: str


def data_dictionary() -> list[Column]:
    """Return all columns, table by table, in the order in which they are written."""
    measured = {name: _of_measurements(name) for name in columns()}
    crops = {name: measured[name] for name in ("image", "status", "reason", *REGION)}
    scored = {name: measured[name] for name in QUALITY}
    before_flags = {name: told for name, told in _DICE.items() if name != "flags"}
    tables = {
        "measurements.csv": measured,
        "report.csv": measured | _REPORTED,
        "crops.csv": crops,
        "dice.csv": before_flags | scored | {"flags": _DICE["flags"]},
        "stages.csv": _STAGES,
        "suggested.csv": _SUGGESTED,
        "metrics.csv": _METRICS,
        "snapshots.csv": _SNAPSHOTS,
        "label_match.csv": _LABEL_MATCH,
        "pairs.csv": _PAIRS,
        "comparison.csv": _COMPARED,
        "TABLE.csv": _REPRODUCED,
    }
    return [
        Column(table, name, unit, definition)
        for table, described in tables.items()
        for name, (unit, definition) in described.items()
    ]


def _of_measurements(name: str) -> tuple[str, str]:
    """Return unit and definition of a column of `measurements.csv`.

    Raises:
        KeyError: the column is not described.
    """
    for describe in (_size, _rim):
        if (found := describe(name)) is not None:
            return found
    return _NAMED[name]


def _size(name: str) -> tuple[str, str] | None:
    part, _, rest = name.partition("_")
    what, _, unit = rest.partition("_")
    if part not in _PARTS or what not in ("height", "width", "area") or unit not in _UNITS:
        return None
    extent = {
        "height": "from the first to the last row",
        "width": "from the first to the last column",
        "area": "all pixels",
    }[what]
    blank = "" if unit == "pixels" else _BLANK_MM
    return _UNITS[unit], f"{what.capitalize()} of the {_PARTS[part]}, {extent}.{blank}"


def _rim(name: str) -> tuple[str, str] | None:
    if not name.startswith("rim_"):
        return None
    place, _, unit = name.removeprefix("rim_").rpartition("_")
    if unit not in _UNITS or place in ("narrowest", "absent"):
        return None
    if place.startswith("clock_"):
        hour = place.removeprefix("clock_")
        where = f"30 degrees around {hour} o'clock of the photograph"
        blank = ""
    else:
        where = f"the {place} 90 degrees"
        blank = " Blank without the eye's side." if place in ("nasal", "temporal") else ""
    width = "Mean width of the rim over the disc's diameter" if unit == "ratio" else (
        "Mean width of the rim"
    )  # fmt: skip
    return _UNITS[unit], f"{width}, in {where}.{blank}" + (_BLANK_MM if unit == "mm" else "")


_DICE: dict[str, tuple[str, str]] = {
    "image": ("", "Id of the photograph."),
    "dice_cup": ("1", "Dice of the predicted cup and the reference; blank without annotated cups."),
    "dice_disc": ("1", "Dice of the predicted disc and the reference."),
    "dice_mean": ("1", "Mean of the two; blank without annotated cups."),
    "vertical_cdr": ("1", "Vertical cup-to-disc ratio of the prediction, by extents."),
    "vertical_cdr_reference": ("1", "The same of the reference."),
    "vertical_cdr_refuge": ("1", "Vertical ratio of the prediction, as REFUGE counts it."),
    "vertical_cdr_refuge_reference": ("1", "The same of the reference."),
    "cup_area": ("1", "Share of the predicted cup in the image."),
    "cup_area_reference": ("1", "The same of the reference."),
    "disc_area": ("1", "Share of the predicted disc in the image."),
    "disc_area_reference": ("1", "The same of the reference."),
    "flags": ("", "Names of the reasons to look at the photograph first, separated by spaces."),
}  # fmt: skip
_REPORTED: dict[str, tuple[str, str]] = {
    "before_vertical_cdr": ("1", "Vertical cup-to-disc ratio by the model before."),
    "before_estimated_dice": ("1", "Estimated Dice of the model before."),
    "dice_cup": ("1", "Dice of the cup and the reference; blank without annotated cups."),
    "dice_disc": ("1", "Dice of the disc and the reference."),
    "dice_mean": ("1", "Mean of the two; blank without annotated cups."),
    "vertical_cdr_reference": ("1", "Vertical cup-to-disc ratio of the reference, by extents."),
    "vertical_cdr_refuge_reference": ("1", "The same, as REFUGE counts it."),
    "before_reference_dice_cup": ("1", "Dice of the cup by the model before and the reference."),
    "before_reference_dice_disc": ("1", "Dice of the disc by the model before and the reference."),
    "before_reference_dice_mean": ("1", "Mean of the two; blank without annotated cups."),
    "review": ("", "Verdict of the reader: accept or reject; blank for none."),
    "comment": ("", "Comment of the reader."),
}  # fmt: skip
"""What `report.csv` has beside the measurements, with --before, --reference and --reviewed."""
_METRICS: dict[str, tuple[str, str]] = {
    "step": ("", "Number of updates, from 1."),
    "segmentation": ("1", "Cross-entropy on the labels (Eq. 2)."),
    "regulariser_source": ("1", "Regulariser of the method, on the source."),
    "regulariser_target": ("1", "Regulariser of the method, on the target."),
    "pseudo_label_fraction": ("1", "Share of the target's pixels that the teacher labels."),
    "teacher": ("1", "Cross-entropy on the teacher's labels."),
    "adversarial": ("1", "Loss of fooling the discriminator (Eq. 5); of both, in a translation."),
    "discriminator": ("1", "Loss of the discriminator (Eq. 4); of both, in a translation."),
    "skipped_updates": ("", "In float16, 1 if a gradient overflowed and nothing was updated."),
    "cycle": ("1", "In a translation, loss of coming back to the image, in both directions."),
    "identity": ("1", "In a translation, loss of changing an image of the other domain."),
    "semantic": ("1", "In a translation, loss of changing what the network sees."),
}  # fmt: skip
"""Losses before they are weighted; a method has some of them, in this order."""
_SNAPSHOTS: dict[str, tuple[str, str]] = {
    "step": ("", "Number of updates."),
    "mean_affinity": ("1", "Mean affinity of the predictions on the target."),
    "effective_classes": ("", "Exponential of the entropy of the predicted class shares."),
    "collapsed": ("", "Whether the predictions hold far fewer classes than the source's labels."),
}  # fmt: skip
_LABEL_MATCH: dict[str, tuple[str, str]] = {
    "step": ("", "Number of updates."),
    "found": ("", "Number of the target's images in which a disc and a cup were found."),
    "disc_share": ("1", "Mean share of the disc in those images."),
    "vertical_cdr": ("1", "Mean vertical cup-to-disc ratio in those images."),
    "shown_disc_share": ("1", "Mean share of the disc in the source's images, as they are shown."),
    "shown_vertical_cdr": ("1", "Mean vertical cup-to-disc ratio in the source's images, as they "
                           "are shown."),
    "zoom": ("1", "Mean magnification of the source's images."),
    "clipped": ("", "Number of draws whose magnification is at a limit."),
    "left_as_it_is": ("", "Why the source is shown as it is; blank if it is not."),
}  # fmt: skip
_PAIRS: dict[str, tuple[str, str]] = {
    "source": ("", "Id of the source's image."),
    "target": ("", "Id of the target's image that gave it its style."),
}
_RUN: dict[str, tuple[str, str]] = {
    "checkpoint": ("", "Checkpoint of the run: last or selected."),
    "seed": ("", "Seed of the run."),
}
_GAP_CLOSED = ("1", "Share of the gap between source only and oracle of the same seed, in mean "
               "Dice, that the run closes; blank without both.")  # fmt: skip
_MEAN_DICE: dict[str, tuple[str, str]] = {
    "dice_cup": ("1", "Mean Dice of the cup; blank without annotated cups."),
    "dice_disc": ("1", "Mean Dice of the disc."),
    "dice_mean": ("1", "Mean of the two; blank without annotated cups."),
}
_COMPARED: dict[str, tuple[str, str]] = {
    "run": ("", "Name of the run's folder."),
    "method": ("", "Method, as the paper names it."),
    **_RUN,
    "step": ("", "Number of updates of the checkpoint."),
    **_MEAN_DICE,
    "dice_mean_std": ("1", "Standard deviation of the mean Dice between images."),
    "vertical_cdr_within_0.05": ("1", "Share of the images whose vertical ratio is within 0.05 of "
                                 "the reference's."),
    "cup_area_ratio": ("1", "Area of the predicted cups over that of the annotated ones."),
    "gap_closed": _GAP_CLOSED,
}  # fmt: skip
_REPRODUCED: dict[str, tuple[str, str]] = {
    "row": ("", "Name of the row of the table."),
    "title": ("", "Title of the row, as the paper prints it."),
    **_RUN,
    **_MEAN_DICE,
    "seconds": ("s", "Time of the run, without those that it starts from; blank if it was resumed "
                "or chosen."),
    "paper": ("", "What the paper prints in this row."),
    "gap_closed": _GAP_CLOSED,
}  # fmt: skip
_STAGES: dict[str, tuple[str, str]] = {
    "stage": ("", "Name of the stage; `model` for the network that was given, `adjusted` for the "
              "kept one, adjusted to outlined photographs."),
    "title": ("", "What the stage does."),
    "estimated_dice": ("1", "Mean over the target's photographs of the estimate without labels."),
    "disc_share": ("1", "Mean share of the disc in the target's crops, as predicted."),
    "cup_share": ("1", "Mean share of the cup in the target's crops, as predicted."),
    "source_disc_share": ("1", "Share of the disc in the labels that the network learnt from."),
    "source_cup_share": ("1", "Share of the cup in the labels that the network learnt from."),
    "mean_affinity": ("1", "Mean affinity of the predictions on the target."),
    "effective_classes": ("", "Effective number of classes in the predictions on the target."),
    "collapsed": ("", "Whether the predictions hold far fewer classes than the source's labels."),
    "outlined_dice": ("1", "Mean Dice of cup and disc on the photographs of `--outlined`, "
                      "which the network may have learnt."),
    "left_out": ("", "Whether the stage's network was left out, and the one before it kept."),
    "reason": ("", "Why it was left out."),
    "sizes_not_matched": ("", "Why the source's discs were shown as large as they are, if they "
                          "were."),
    "dice_cup": ("1", "Mean Dice of the cup on the target, where it has masks."),
    "dice_disc": ("1", "Mean Dice of the disc on the target, where it has masks."),
    "dice_mean": ("1", "Mean of the two."),
}  # fmt: skip
_SUGGESTED: dict[str, tuple[str, str]] = {
    "image": ("", "Id of the photograph."),
    "accepted": ("", "To be filled in: yes where the outline is right as it is."),
    "doubt": ("1", "Mean of 1 - estimated_dice and, with another model, 1 - models_dice; 1 where "
              "no disc is outlined."),
    "estimated_dice": ("1", "Estimate, without a reference, of the mean Dice of cup and disc."),
    "models_dice": ("1", "Mean Dice of cup and disc between two models; blank without another."),
    "vertical_cdr": ("1", "Vertical cup-to-disc ratio that the model finds."),
}  # fmt: skip
_BLANK_MM = (
    f" Blank unless DICOM states the pixel spacing, and the disc is {DISC_MM[0]} to {DISC_MM[1]} "
    f"mm high and wide by it."
)
_NAMED: dict[str, tuple[str, str]] = {
    "image": ("", "Id of the photograph: its file name, or a hash of it with --key-file."),
    "status": ("", "ok, flagged, no_disc, network_unsure or unreadable. With the last three, all "
               "that follows the flags is blank."),
    "reason": ("", "Why the photograph could not be measured; blank if it was."),
    "flags": ("", "Names of the reasons to look at the photograph first, separated by spaces."),
    "laterality": ("", "Eye: R or L, as DICOM, a CSV or the file name says; blank if unknown."),
    "vertical_cdr": ("1", "Vertical cup-to-disc ratio: height of the cup over that of the disc."),
    "horizontal_cdr": ("1", "Horizontal cup-to-disc ratio: width of the cup over the disc's."),
    "area_cdr": ("1", "Area of the cup over that of the disc."),
    "vertical_cdr_refuge": ("1", "Vertical ratio as the REFUGE challenge counts it: the largest "
                            "number of cup pixels in a column over that of the disc."),
    "rim_narrowest_ratio": ("1", "Smallest width of the rim over the disc's diameter on the same "
                            "axis, of 360 rays from the disc's centroid."),
    "rim_absent_degrees": ("degree", "Circumference on which the cup reaches the disc's outline."),
    "isnt_rule": ("", "Whether inferior, superior, nasal and temporal rim fall in this order; "
                  "blank without the eye's side."),
    "ddls_stage": ("", "Stage of the disc damage likelihood scale, 1 to 10; blank without "
                   "millimetres."),
    "disc_components": ("", "Number of connected parts of the disc."),
    "cup_components": ("", "Number of connected parts of the cup."),
    "cup_touches_background": ("", "Whether the cup touches what is not disc."),
    "estimated_dice": ("1", "Estimate, without a reference, of the mean Dice of cup and disc."),
    "flip_dice_cup": ("1", "Mean Dice of the cup with the outlines of the flipped photograph."),
    "flip_dice_disc": ("1", "Mean Dice of the disc with the outlines of the flipped photograph."),
    "mean_affinity": ("1", "Mean affinity between neighbouring pixels of the prediction."),
    "disc_share": ("1", "Share of the disc in the area of the region."),
    "disc_ellipse_dice": ("1", "Dice of the disc and the ellipse of its moments."),
    "cup_ellipse_dice": ("1", "Dice of the cup and the ellipse of its moments."),
    "sharpness": ("1", "Detail of 1 to 2 pixels over detail of 2 to 4, at 256 pixels."),
    "field_share": ("1", "Share of the region that shows the eye."),
    "dark_share": ("1", "Share of the eye where the brightest colour is below 50 of 255."),
    "bright_share": ("1", "Share of the eye where the darkest colour is above 245 of 255."),
    "before_dice_cup": ("1", "Dice of the cup with the model before; blank without one."),
    "before_dice_disc": ("1", "Dice of the disc with the model before; blank without one."),
    "region_top": ("pixel", "First row of the region around the disc; may be negative."),
    "region_left": ("pixel", "First column of the region around the disc; may be negative."),
    "region_height": ("pixel", "Height of the region around the disc."),
    "region_width": ("pixel", "Width of the region around the disc."),
    "region_is_crop": ("", "Whether the photograph is a crop around the disc already."),
}  # fmt: skip
