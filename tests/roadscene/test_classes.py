import subprocess
import sys

from cityscapesscripts.helpers.labels import trainId2label

from roadscene.classes import CLASSES, IGNORE, class_table, palette, train_ids

# Written out by hand from the papers' tables and the datasets' documentation.
CITYSCAPES_19 = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10,
                 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
SYNTHIA_19 = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11,
              17: 12, 8: 13, 18: 14, 19: 15, 20: 16, 12: 17, 11: 18}  # fmt: skip
SYNTHIA_16 = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 1: 9, 10: 10, 17: 11,
              8: 12, 19: 13, 12: 14, 11: 15}  # fmt: skip
SYNTHIA_13 = {3: 0, 4: 1, 2: 2, 15: 3, 9: 4, 6: 5, 1: 6, 10: 7, 17: 8, 8: 9, 19: 10, 12: 11,
              11: 12}  # fmt: skip
CROSS_CITY_13 = {7: 0, 8: 1, 11: 2, 19: 3, 20: 4, 21: 5, 23: 6, 24: 7, 25: 8, 26: 9, 28: 10,
                 32: 11, 33: 12}  # fmt: skip


def labelled(encoding, classes):
    return {k: v for k, v in train_ids(encoding, classes).items() if v != IGNORE}


def test_id_maps_are_those_of_the_datasets():
    assert labelled("cityscapes", 19) == CITYSCAPES_19
    assert labelled("gta5", 19) == CITYSCAPES_19
    assert labelled("synthia", 19) == SYNTHIA_19
    assert labelled("synthia", 16) == SYNTHIA_16
    assert labelled("synthia", 13) == SYNTHIA_13
    assert labelled("cross-city", 13) == CROSS_CITY_13
    assert labelled("cityscapes", 13) == CROSS_CITY_13
    assert labelled("train-ids", 19) == {index: index for index in range(19)}


def test_ids_of_no_class_are_known_and_ignored():
    assert train_ids("cityscapes", 19).keys() == set(range(34))
    assert train_ids("gta5", 19).keys() == set(range(35))
    assert train_ids("synthia", 16).keys() == set(range(23))
    for void in (0, 13, 14, 22):
        assert train_ids("synthia", 16)[void] == IGNORE
    assert train_ids("cross-city", 19)[12] == IGNORE  # no walls in that dataset
    assert train_ids("train-ids", 16)[9] == IGNORE  # terrain


def test_subsets_of_the_19_classes():
    kept_16 = [*range(9), 10, 11, 12, 13, 15, 17, 18]
    kept_13 = [0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]
    assert [CLASSES.index(c) for c in class_table(16)] == kept_16
    assert [CLASSES.index(c) for c in class_table(13)] == kept_13
    assert class_table(19) == CLASSES


def test_table_agrees_with_the_official_scripts():
    for index, road_class in enumerate(CLASSES):
        official = trainId2label[index]
        assert (road_class.cityscapes, road_class.colour) == (official.id, official.color)


def test_tables_need_no_torch():
    code = "import sys, roadscene.classes; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False"


def test_palette_has_256_colours_and_is_black_where_there_is_no_class():
    colours = palette(13)
    assert len(colours) == 768
    assert colours[:3] == [128, 64, 128]
    assert colours[36:39] == [119, 11, 32]
    assert set(colours[39:]) == {0}
