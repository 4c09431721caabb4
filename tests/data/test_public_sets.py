"""Public sets that several copies know, from small files as they unpack."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import require_masks
from fundus_uda.errors import InputError
from tests.data.test_datasets import CLASSES, CUP, DISC, ids, photograph, refuge_mask, save


def require_classes(uri, count, annotation=None):
    samples = require_masks(load_samples(uri, annotation), uri)
    assert len(samples) == count
    for sample in samples:
        assert np.array_equal(read_mask(sample)[0], CLASSES), sample.id
    return samples


@pytest.mark.parametrize(
    ("images", "masks", "suffix", "values"),
    [("Images", "Masks", "png", CLASSES), ("images", "mask", "bmp", refuge_mask())],
)
def test_refuge_as_kaggle_has_it(images, masks, suffix, values, tmp_path):
    for part in ("train", "val", "test"):
        photograph(tmp_path / part / images / f"{part}0001.jpg")
        save(tmp_path / part / masks / f"{part}0001.{suffix}", values)
    require_classes(f"refuge-kaggle:{tmp_path}", 3)
    assert ids(require_classes(f"refuge-kaggle:{tmp_path}#validation", 1)) == ["val0001"]


@pytest.mark.parametrize("inner", ["ROIs", "."])
def test_the_crops_of_beal_and_of_dpls_domains(inner, tmp_path):
    for part in ("train", "test"):
        photograph(tmp_path / "Domain1" / part / inner / "image" / f"{part}.png")
        save(tmp_path / "Domain1" / part / inner / "mask" / f"{part}.png", refuge_mask())
    assert ids(require_classes(f"beal:{tmp_path / 'Domain1'}#test", 1)) == ["test"]


def test_origa_by_masks_or_by_its_matlab_files(tmp_path):
    for name in ("001", "002"):
        photograph(tmp_path / "Images" / f"{name}.jpg")
    folder = tmp_path / "Semi-automatic-annotations"
    folder.mkdir()
    savemat(folder / "001.mat", {"mask": CLASSES})
    savemat(folder / "002.mat", {"maskFullArea": CLASSES.astype(float)})
    require_classes(f"origa:{tmp_path}", 2)
    for name in ("001", "002"):
        save(tmp_path / "Masks" / f"{name}.png", CLASSES)
    samples = require_classes(f"origa:{tmp_path}", 2)
    assert {path.suffix for sample in samples for path in sample.masks} == {".png"}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"other": CLASSES}, "matrix `mask` in .*001.mat. Got: other"),
        ({"mask": CLASSES * 7}, "0 background, 1 rim, 2 cup in .*001.mat. Got: 0, 7, 14"),
        (b"no matlab", "MATLAB file at .*001.mat. Got: "),
    ],
)
def test_other_matlab_files_are_named(contents, message, tmp_path):
    photograph(tmp_path / "Images" / "001.jpg")
    file = tmp_path / "Semi-automatic-annotations" / "001.mat"
    file.parent.mkdir()
    if isinstance(contents, bytes):
        file.write_bytes(contents)
    else:
        savemat(file, contents)
    (sample,) = load_samples(f"origa:{tmp_path}")
    with pytest.raises(InputError, match=message):
        read_mask(sample)


def test_g1020_may_lack_cups(tmp_path):
    for number, mask in enumerate((CLASSES, DISC)):
        photograph(tmp_path / "Images" / f"image_{number}.jpg")
        (tmp_path / "Images" / f"image_{number}.json").write_text("{}")
        save(tmp_path / "Masks" / f"image_{number}.png", mask)
    one, two = require_masks(load_samples(f"g1020:{tmp_path}"), "g1020")
    assert np.array_equal(read_mask(one)[0], CLASSES)
    assert np.array_equal(read_mask(two)[0], DISC)


def contour(file, top, bottom, left, right):
    """The corners of the pixels from (top, left) to (bottom, right), a row `x y` each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    file.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in corners))


@pytest.mark.parametrize("inner", ["PapilaDB-PAPILA-17f8fa77", "."])
def test_papila_fills_the_contours_of_the_chosen_expert(inner, tmp_path):
    root = tmp_path / inner
    photograph(root / "FundusImages" / "RET002OD.jpg")
    contours = root / "ExpertsSegmentations" / "Contours"
    for expert, cup in ((1, (4, 7, 4, 5)), (2, (5, 6, 4, 5))):
        contour(contours / f"RET002OD_disc_exp{expert}.txt", 2, 9, 2, 7)
        contour(contours / f"RET002OD_cup_exp{expert}.txt", *cup)
    require_classes(f"papila:{tmp_path}", 1)
    (second,) = load_samples(f"papila:{tmp_path}", "expert2")
    assert (read_mask(second)[0] == 2).sum() == 4
    (contours / "RET002OD_cup_exp2.txt").write_text("1 2\n3 4\n")
    with pytest.raises(InputError, match="at least three rows `x y` in .*cup_exp2.txt. Got: shape"):
        read_mask(second)


def test_chaksu_has_fusions_and_five_experts(tmp_path):
    for half, camera, name in (("Train", "Bosch", "Image101.JPG"), ("Test", "Forus", "7.png")):
        photograph(tmp_path / half / "1.0_Original_Fundus_Images" / camera / name)
        stem = name.split(".")[0]
        fusions = tmp_path / half / "5.0_OD_OC_Mean_Median_Majority_STAPLE" / camera
        experts = tmp_path / half / "3.0_Doctors_Annotations_Binary_OD_OC"
        for structure, mask in (("Disc", DISC), ("Cup", CUP)):
            for fusion in ("Majority", "STAPLE"):
                save(fusions / structure / fusion / f"{stem}.png", mask * 250)
            folder = structure.upper() if camera == "Bosch" else structure
            save(experts / "Expert 3" / camera / folder / f"{stem}.tif", mask * 255)
    assert ids(require_classes(f"chaksu:{tmp_path}", 2)) == ["Bosch-Image101", "Forus-7"]
    require_classes(f"chaksu:{tmp_path}#train", 1, "staple")
    require_classes(f"chaksu:{tmp_path}#train", 1, "expert3")
    with pytest.raises(InputError, match="none for 1, .*Expert 4"):
        require_masks(load_samples(f"chaksu:{tmp_path}#test", "expert4"), "chaksu")


@pytest.mark.parametrize("inner", ["GRAPE Dataset", "."])
def test_grape(inner, tmp_path):
    root = tmp_path / inner
    photograph(root / "ROI images" / "1_OD_1.jpg")
    photograph(root / "CFPs" / "1_OD_1.jpg", 40, 50)
    shapes = [
        {"label": label, "shape_type": kind, "points": points}
        for label, kind, points in (
            ("OD", "polygon", [[2, 2], [8, 2], [8, 10], [2, 10]]),
            ("OC", "polygon", [[4, 4], [6, 4], [6, 8], [4, 8]]),
            ("location", "rectangle", [[1, 1], [9, 11]]),
        )
    ]
    (root / "json").mkdir()
    told = json.dumps({"shapes": shapes, "imageHeight": 12, "imageWidth": 10})
    (root / "json" / "1_OD_1.json").write_text(told)
    assert ids(require_classes(f"grape:{tmp_path}", 1)) == ["1_OD_1"]
