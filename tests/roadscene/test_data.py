import numpy as np
import pytest
from PIL import Image

from fundus_uda.errors import InputError
from roadscene.classes import IGNORE
from roadscene.data import (
    Frame,
    load_frames,
    read_ids,
    read_image,
    read_label,
    require_labels,
    without_labels,
)
from tests.fixtures.tiny_streets import ids_of, write_ids, write_image, write_png16


def write_gta5(root, name="00001", ids=(0, 7, 8, 33, 34)):
    write_image(root / "images" / f"{name}.png")
    write_ids(root / "labels" / f"{name}.png", ids_of(ids))


def write_synthia(root, ids):
    write_image(root / "RGB" / "0000000.png")
    instances = ids_of(range(1000, 1048))
    write_png16(root / "GT" / "LABELS" / "0000000.png", (ids_of(ids), instances, instances))


def write_cityscapes(root, kind="labelIds", ids=(7, 33, 0), split="train"):
    name = "aachen_000000_000019"
    write_image(root / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png")
    folder = root / "gtFine" / split / "aachen"
    write_ids(folder / f"{name}_gtFine_{kind}.png", ids_of(ids))


def write_rome(root):
    write_image(root / "Rome" / "Images" / "Train" / "pano_1.jpg")
    write_image(root / "Rome" / "Images" / "Test" / "pano_2.png")
    write_ids(root / "Rome" / "Labels" / "Test" / "pano_2_eval.png", ids_of((7, 12, 33, 255)))


def test_gta5_as_it_unpacks(tmp_path):
    write_gta5(tmp_path)
    write_gta5(tmp_path, "00002", ids=(23,))
    frames = load_frames(f"gta5:{tmp_path}")
    assert [f.id for f in frames] == ["00001", "00002"]
    assert read_label(frames[0], 19).ravel()[:5].tolist() == [IGNORE, 0, 1, 18, IGNORE]
    assert read_label(frames[0], 13).ravel()[3] == 12


def test_gta5_palette_labels_hold_ids(tmp_path):
    write_gta5(tmp_path)
    label = tmp_path / "labels" / "00001.png"
    picture = Image.fromarray(ids_of((7, 26)).astype(np.uint8))
    picture.putpalette(list(range(256)) * 3)
    picture.save(label)
    assert Image.open(label).mode == "P"
    assert set(read_label(load_frames(f"gta5:{tmp_path}")[0], 19).ravel()) == {0, 13}


@pytest.mark.parametrize("folder", ["", "RAND_CITYSCAPES"])
def test_synthia_labels_of_sixteen_bits(tmp_path, folder):
    write_synthia(tmp_path / folder, ids=(3, 0, 1, 12, 22))
    (frame,) = load_frames(f"synthia:{tmp_path}")
    assert read_ids(frame).ravel()[:5].tolist() == [3, 0, 1, 12, 22]
    assert read_label(frame, 16).ravel()[:5].tolist() == [0, IGNORE, 9, 14, IGNORE]
    # what makes the explicit decoder necessary
    assert not np.asarray(Image.open(frame.label))[..., 0].any()


def test_synthia_label_of_void_alone_is_refused(tmp_path):
    write_synthia(tmp_path, ids=(0,))
    (frame,) = load_frames(f"synthia:{tmp_path}")
    with pytest.raises(InputError, match=r"0000000.png. Got: id 0 \(void\) alone"):
        read_label(frame, 16)


def test_synthia_label_of_eight_bits_is_refused(tmp_path):
    write_synthia(tmp_path, ids=(3,))
    (frame,) = load_frames(f"synthia:{tmp_path}")
    Image.open(frame.label).convert("RGB").save(frame.label)
    with pytest.raises(InputError, match="three 16-bit channels in .*0000000.png. Got: uint8"):
        read_label(frame, 16)


def test_cityscapes_of_label_ids_or_of_train_ids(tmp_path):
    write_cityscapes(tmp_path, "labelTrainIds", ids=(0, 18, 255))
    (frame,) = load_frames(f"cityscapes:{tmp_path}#train")
    assert frame.id == "aachen_000000_000019"
    assert read_label(frame, 13).ravel()[:3].tolist() == [0, 12, IGNORE]
    write_cityscapes(tmp_path, "labelIds", ids=(8, 33, 0))  # preferred, since it always exists
    (frame,) = load_frames(f"cityscapes:{tmp_path}")
    assert read_label(frame, 19).ravel()[:3].tolist() == [1, 18, IGNORE]


def test_cross_city_has_labels_for_its_test_images_alone(tmp_path):
    write_rome(tmp_path)
    (train,) = load_frames(f"cross-city:{tmp_path / 'Rome'}#train")
    (test,) = load_frames(f"cross-city:{tmp_path / 'Rome'}#test")
    assert train.label is None
    assert read_label(test, 13).ravel()[:4].tolist() == [0, IGNORE, 12, IGNORE]
    with pytest.raises(InputError, match="Expected a label for each of the 1 images at x"):
        require_labels([train], "x")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("kitti:/data", "Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of gta5"),
        ("cityscapes", "Got: 'cityscapes'"),
        ("cityscapes:/data#all", "one of train, val, test. Got: 'all'"),
        ("gta5:/nowhere", "Expected gta5 data at /nowhere. Got: no such folder"),
        ("cross-city:{}/Paris#test", "folder of a city.*Got: .*Paris. Cities found: Rome"),
        ("cross-city:{}#test", "Cities found: .*/Rome"),
        (
            "cityscapes:{}#val",
            r"of the pattern leftImg8bit/SPLIT/CITY/\*_leftImg8bit.png. Got: none. In .*: Rome",
        ),
    ],
)
def test_bad_addresses(tmp_path, uri, message):
    write_rome(tmp_path)
    with pytest.raises(InputError, match=message):
        load_frames(uri.format(tmp_path))


def test_image_without_label_names_both_files(tmp_path):
    write_gta5(tmp_path)
    (tmp_path / "labels" / "00001.png").unlink()
    frames = load_frames(f"gta5:{tmp_path}")
    with pytest.raises(InputError, match=r"images/00001.png \(looked for .*labels/00001.png\)"):
        require_labels(frames, "gta5:x")
    assert without_labels(frames)[0].label is None


@pytest.mark.parametrize(
    ("encoding", "ids", "message"),
    [
        ("cityscapes", [7, 34, 255], "cityscapes ids from 0 to 33 in .* Got: 34, 255"),
        ("gta5", [35], "from 0 to 34"),
        ("train-ids", [0, 19, 33], "Got: 19, 33"),
        ("cross-city", [40], "Got: 40"),
    ],
)
def test_ids_outside_the_table(tmp_path, encoding, ids, message):
    path = tmp_path / "label.png"
    write_ids(path, ids_of(ids))
    with pytest.raises(InputError, match=message):
        read_label(Frame("x", path, path, encoding), 19)


def test_colour_picture_is_no_label(tmp_path):
    path = tmp_path / "colour.png"
    write_image(path)
    with pytest.raises(InputError, match="one channel of class ids in .*colour.png. Got: mode RGB"):
        read_label(Frame("x", path, path, "gta5"), 19)


@pytest.mark.parametrize("encoding", ["cityscapes", "synthia"])
def test_unreadable_files_are_named(tmp_path, encoding):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(InputError, match=r"readable image at .*broken.png"):
        read_image(path)
    with pytest.raises(InputError, match=r"readable label at .*broken.png"):
        read_label(Frame("x", path, path, encoding), 19)
