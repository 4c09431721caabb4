"""The 19, 16 and 13 classes, their ids in label files, and their colours."""

from dataclasses import dataclass

IGNORE = 255
"""Class index of a pixel without a class."""


@dataclass(frozen=True)
class RoadClass:
    """One row of the class table."""

    name: str
    cityscapes: int
    """`labelId` of Cityscapes, GTA5 and Cross-City."""
    synthia: int
    """Id of SYNTHIA-RAND-CITYSCAPES. Terrain, truck and train have one but never occur."""
    colour: tuple[int, int, int]
    smallest: int
    """Size of the smallest table (of 13, 16 or 19 classes) that has it."""


CLASSES = (
    RoadClass("road", 7, 3, (128, 64, 128), 13),
    RoadClass("sidewalk", 8, 4, (244, 35, 232), 13),
    RoadClass("building", 11, 2, (70, 70, 70), 13),
    RoadClass("wall", 12, 21, (102, 102, 156), 16),
    RoadClass("fence", 13, 5, (190, 153, 153), 16),
    RoadClass("pole", 17, 7, (153, 153, 153), 16),
    RoadClass("light", 19, 15, (250, 170, 30), 13),
    RoadClass("sign", 20, 9, (220, 220, 0), 13),
    RoadClass("veg", 21, 6, (107, 142, 35), 13),
    RoadClass("terrain", 22, 16, (152, 251, 152), 19),
    RoadClass("sky", 23, 1, (70, 130, 180), 13),
    RoadClass("person", 24, 10, (220, 20, 60), 13),
    RoadClass("rider", 25, 17, (255, 0, 0), 13),
    RoadClass("car", 26, 8, (0, 0, 142), 13),
    RoadClass("truck", 27, 18, (0, 0, 70), 19),
    RoadClass("bus", 28, 19, (0, 60, 100), 13),
    RoadClass("train", 31, 20, (0, 80, 100), 19),
    RoadClass("mbike", 32, 12, (0, 0, 230), 13),
    RoadClass("bike", 33, 11, (119, 11, 32), 13),
)
"""Classes in the order of Cityscapes' trainIds (Cordts et al., CVPR 2016), with the paper's names.

SYNTHIA's ids: Ros et al., CVPR 2016. 16 and 13 classes (mIoU*): Table II; 13 of Cross-City
(Chen et al., ICCV 2017): Table VI.
"""


@dataclass(frozen=True)
class Encoding:
    """Meaning of the ids in one dataset's label files."""

    ids: frozenset[int]
    """All ids that may occur."""
    id_of_class: tuple[int, ...]
    """Id of each of the 19 classes; -1 for one that the dataset does not label."""


_CITYSCAPES_IDS = tuple(c.cityscapes for c in CLASSES)

ENCODINGS: dict[str, Encoding] = {
    "cityscapes": Encoding(frozenset(range(34)), _CITYSCAPES_IDS),
    "gta5": Encoding(frozenset(range(35)), _CITYSCAPES_IDS),  # 34 is a license plate
    "synthia": Encoding(frozenset(range(23)), tuple(c.synthia for c in CLASSES)),
    "cross-city": Encoding(
        frozenset({*range(34), IGNORE}),
        tuple(c.cityscapes if c.smallest == 13 else -1 for c in CLASSES),
    ),
    "train-ids": Encoding(frozenset({*range(19), IGNORE}), tuple(range(19))),
}


def class_table(count: int) -> tuple[RoadClass, ...]:
    """Return the 19, 16 or 13 classes in the order of their class indices."""
    return tuple(c for c in CLASSES if c.smallest <= count)


def train_ids(encoding: str, count: int) -> dict[int, int]:
    """Map every id of an encoding to its index in the table of `count` classes, or to `IGNORE`."""
    table, kind = class_table(count), ENCODINGS[encoding]
    index = {
        label_id: table.index(road_class)
        for road_class, label_id in zip(CLASSES, kind.id_of_class, strict=True)
        if road_class in table
    }
    return {label_id: index.get(label_id, IGNORE) for label_id in sorted(kind.ids)}


def palette(count: int) -> list[int]:
    """Return red, green and blue of each class in turn; black for `IGNORE` and the rest."""
    colours = [c.colour for c in class_table(count)]
    return [value for colour in colours for value in colour] + [0] * 3 * (256 - len(colours))
