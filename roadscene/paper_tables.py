"""Rows of the paper's Tables I to VI, of street scenes, and the run behind each.

The paper's values are percent mIoU; in Table II, mIoU of 16 classes and mIoU* of 13; in Table
III(b), mIoU*. Rows that the paper quotes from others are quoted here too.
"""

from fundus_uda.config.read import Profile
from fundus_uda.experiments import tables as shared
from fundus_uda.experiments.tables import PaperValue, Quoted, Row, Table


def tables(profile: Profile) -> dict[str, Table]:
    """List the tables of a profile: all of the paper's, or those that fit CamVid on a CPU."""
    if profile == "cpu":
        return {
            "table1": _cpu_methods(),
            "table3a": shared.complement_rows(_cpu, [shared.in_gta5(value) for value in _TABLE_3A]),
            "table4": shared.weight_rows(_cpu),
            "table5": shared.connectivity_rows(_cpu),
        }
    return {
        "table1": _table_1(),
        "table2": _table_2(),
        "table3a": {**_QUOTED_3A, **shared.complement_rows(_gta5, [_miou(v) for v in _TABLE_3A])},
        "table3b": {
            **_QUOTED_3B,
            **shared.complement_rows(_synthia, [_of_13(v) for v in _TABLE_3B]),
        },
        "table4": shared.weight_rows(_gta5, _miou),
        "table5": shared.connectivity_rows(_gta5, _miou),
        "table6": _table_6(),
    }


def _miou(value: float) -> PaperValue:
    return PaperValue(f"{value:.1f}", {"miou": value})


def _two(miou: float | None, miou_13: float) -> PaperValue:
    """Return a value of Table II, whose mIoU may be missing."""
    of_16 = {} if miou is None else {"miou": miou}
    return PaperValue(f"{of_16.get('miou', '-')}, {miou_13}", {**of_16, "miou_13": miou_13})


def _of_13(value: float) -> PaperValue:
    """Return a value of Table III(b), mIoU*."""
    return PaperValue(f"{value:.1f} (mIoU*)", {"miou_13": value})


def _cpu(experiment: str) -> str:
    return f"cpu/{experiment}"


def _gta5(experiment: str) -> str:
    return f"gta5/resnet101_{experiment}"


def _synthia(experiment: str) -> str:
    return f"synthia/resnet101_{experiment}"


_TABLE_3A = (38.1, 45.1, 45.6, 48.1, 49.1)
_TABLE_3B = (39.1, 49.3, 49.8, 52.4, 53.8)
"""Source only, ASA, ASA + IT, ASA + ST and ASA + IT + ST."""
_QUOTED_3A: Table = {
    "dcan": Quoted("DCAN", _miou(41.7)),
    "cbst_quoted": Quoted("CBST (its own network)", _miou(41.5)),
    "dise": Quoted("DISE", _miou(45.4)),
    "sodpr": Quoted("SODPR", _miou(46.5)),
    "bdl": Quoted("BDL", _miou(48.5)),
}
_QUOTED_3B: Table = {
    "dise": Quoted("DISE", _of_13(48.8)),
    "sodpr": Quoted("SODPR", _of_13(46.5)),
    "bdl": Quoted("BDL", _of_13(51.4)),
}


def _cpu_methods() -> Table:
    """List the methods of Table I that the CPU profile has: one network, one level."""
    return {
        "source": Row("Source only", "cpu/source"),
        "adaptsegnet": shared.adapted("AdaptSegNet", "cpu/adaptsegnet"),
        "advent": shared.adapted("ADVENT", "cpu/advent"),
        "maxsquare": shared.adapted("MaxSquare", "cpu/maxsquare"),
        "asc": shared.adapted("ASC", "cpu/asc"),
        "asa": shared.adapted("ASA", "cpu/asa"),
        "oracle": Row("Oracle", "cpu/oracle"),
    }


def _table_1() -> Table:
    """List Table I, GTA5 to Cityscapes: VGG-16, then ResNet-101."""
    rows: Table = {
        "fcns_in_the_wild": Quoted("FCNs in the wild, VGG-16", _miou(27.1)),
        "cycada": Quoted("CyCADA, VGG-16", _miou(34.8)),
        "vgg16_siban": Quoted("SIBAN, VGG-16", _miou(34.2)),
        "resnet101_siban": Quoted("SIBAN, ResNet-101", _miou(42.6)),
    }
    for name, title, value in (
        ("vgg16_source", "Source only, VGG-16", 27.1),
        ("vgg16_adaptsegnet", "AdaptSegNet, VGG-16", 35.0),
        ("vgg16_advent", "ADVENT, VGG-16", 36.1),
        ("vgg16_asc", "ASC, VGG-16", 32.4),
        ("vgg16_asa", "ASA, VGG-16", 35.6),
        ("resnet101_source", "Source only, ResNet-101", 38.1),
        ("resnet101_adaptsegnet", "AdaptSegNet, ResNet-101", 41.4),
        ("resnet101_adaptsegnet_multi", "AdaptSegNet, two levels, ResNet-101", 42.4),
        ("resnet101_advent_multi", "ADVENT, two levels, ResNet-101", 43.8),
        ("resnet101_maxsquare", "MaxSquare, ResNet-101", 44.3),
        ("resnet101_asc", "ASC, ResNet-101", 43.8),
        ("resnet101_asa", "ASA, ResNet-101", 45.1),
    ):
        rows[name] = Row(title, f"gta5/{name}", paper=_miou(value))
    return rows


def _table_2() -> Table:
    """List Table II, SYNTHIA to Cityscapes: mIoU, mIoU*."""
    rows: Table = {
        "fcns_in_the_wild": Quoted("FCNs in the wild, VGG-16", _two(20.2, 22.1)),
        "vgg16_siban": Quoted("SIBAN, VGG-16", _two(None, 37.2)),
        "resnet101_siban": Quoted("SIBAN, ResNet-101", _two(None, 46.3)),
    }
    for name, title, value in (
        ("vgg16_source", "Source only, VGG-16", (25.1, 28.7)),
        ("vgg16_adaptsegnet", "AdaptSegNet, VGG-16", (None, 37.6)),
        ("vgg16_advent", "ADVENT, VGG-16", (31.4, 36.6)),
        ("vgg16_asc", "ASC, VGG-16", (28.5, 33.3)),
        ("vgg16_asa", "ASA, VGG-16", (33.3, 38.7)),
        ("resnet101_source", "Source only, ResNet-101", (33.9, 39.1)),
        ("resnet101_adaptsegnet", "AdaptSegNet, ResNet-101", (None, 45.9)),
        ("resnet101_adaptsegnet_multi", "AdaptSegNet, two levels, ResNet-101", (40.0, 46.7)),
        ("resnet101_advent_multi", "ADVENT, two levels, ResNet-101", (40.8, 47.6)),
        ("resnet101_maxsquare", "MaxSquare, ResNet-101", (39.3, 45.8)),
        ("resnet101_asc", "ASC, ResNet-101", (38.7, 45.3)),
        ("resnet101_asa", "ASA, ResNet-101", (41.7, 49.3)),
    ):
        rows[name] = Row(title, f"synthia/{name}", paper=_two(*value))
    return rows


def _table_6() -> Table:
    """List Table VI, Cityscapes to each city of Cross-City."""
    rows: Table = {}
    for city, cross_city, cbst, values in (
        ("Rome", 42.9, 53.6, (50.8, 53.8, 53.9, 54.2)),
        ("Rio", 42.5, 52.2, (47.7, 51.6, 52.0, 54.4)),
        ("Tokyo", 42.8, 48.8, (46.8, 49.9, 49.7, 50.4)),
        ("Taipei", 39.6, 50.3, (47.5, 49.1, 49.8, 49.1)),
    ):
        name = city.lower()
        rows[f"{name}_cross_city"] = Quoted(f"{city}: Cross-City", _miou(cross_city))
        rows[f"{name}_cbst_quoted"] = Quoted(f"{city}: CBST (its own network)", _miou(cbst))
        for method, title, value in zip(
            ("source", "adaptsegnet", "maxsquare", "asa"),
            ("Source only", "AdaptSegNet", "MaxSquare", "ASA"),
            values,
            strict=True,
        ):
            experiment = f"cross_city/{name}_{method}"
            rows[f"{name}_{method}"] = Row(f"{city}: {title}", experiment, paper=_miou(value))
    return rows
