"""Each layout from small files, written as the dataset unpacks."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fundus_uda.data.datasets import LAYOUTS, load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import require_masks, without_masks
from fundus_uda.errors import InputError
from fundus_uda.masks.nifti import write_mask_nifti
from fundus_uda.unfinished import unfinished

DISC = np.zeros((12, 10), dtype=bool)
DISC[2:10, 2:8] = True
CUP = np.zeros((12, 10), dtype=bool)
CUP[4:8, 4:6] = True
CLASSES = DISC.astype(np.uint8) + CUP


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def photograph(path, height=12, width=10):
    save(path, np.full((height, width, 3), 100))


def refuge_mask():
    return np.select([CUP, DISC], [0, 128], 255)


def ids(samples):
    return [sample.id for sample in samples]


def test_refuge(tmp_path):
    for group, stem in (("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001")):
        photograph(tmp_path / "Training400" / group / f"{stem}.jpg")
        masks = tmp_path / "Annotation-Training400" / "Disc_Cup_Masks"
        save(masks / group / f"{stem}.bmp", refuge_mask())
    photograph(tmp_path / "REFUGE-Validation400" / "V0001.jpg")
    save(tmp_path / "REFUGE-Validation400-GT" / "Disc_Cup_Masks" / "V0001.bmp", refuge_mask())
    photograph(tmp_path / "Test400" / "T0001.jpg")
    save(tmp_path / "REFUGE-Test-GT" / "Disc_Cup_Masks" / "G" / "T0001.bmp", refuge_mask())

    assert ids(load_samples(f"refuge:{tmp_path}#train")) == ["g0001", "n0001"]
    assert ids(load_samples(f"refuge:{tmp_path}#validation")) == ["V0001"]
    assert ids(load_samples(f"refuge:{tmp_path}#test")) == ["T0001"]
    everything = load_samples(f"refuge:{tmp_path}")
    assert ids(everything) == ["T0001", "V0001", "g0001", "n0001"]
    for sample in require_masks(everything, "refuge"):
        assert np.array_equal(read_mask(sample)[0], CLASSES)


def test_rim_one_r3_uses_the_left_half_and_the_chosen_expert(tmp_path):
    def stereo(structure):
        return np.hstack([structure, np.zeros_like(structure)]) * 255

    healthy, suspects = tmp_path / "Healthy", tmp_path / "Glaucoma and suspects"
    for folder, stem, short in ((healthy, "N-1-L", False), (suspects, "G-1-L", True)):
        photograph(folder / "Stereo Images" / f"{stem}.jpg", width=20)
        middle = "" if short else "-1"
        for expert, cup in ((1, CUP), (2, np.zeros_like(CUP))):
            masks = folder / f"Expert{expert}_masks"
            save(masks / f"{stem}{middle}-Disc-exp{expert}.png", stereo(DISC))
            save(masks / f"{stem}{middle}-Cup-exp{expert}.png", stereo(cup))
        save(folder / "Average_masks" / f"{stem}-Disc-Avg.png", stereo(DISC))
        save(folder / "Average_masks" / f"{stem}-Cup-Avg.png", stereo(CUP))

    (train,) = load_samples(f"rim-one-r3:{tmp_path}#train")
    (test,) = load_samples(f"rim-one-r3:{tmp_path}#test")
    assert (train.id, test.id) == ("G-1-L", "N-1-L")
    assert np.array_equal(read_mask(test)[0], CLASSES)
    for uri in (f"rim-one-r3:{tmp_path}#train", f"rim-one-r3:{tmp_path}#test"):
        assert np.array_equal(read_mask(load_samples(uri, "expert1")[0])[0], CLASSES)
        assert np.array_equal(read_mask(load_samples(uri, "expert2")[0])[0], DISC.astype(int))


def test_rim_one_r3_has_99_training_and_60_test_eyes(tmp_path):
    missing = {15, 19, 45, 57, 60, 77, 89}
    eyes = [("Healthy", "N", n) for n in range(1, 93) if n not in missing]
    eyes += [("Glaucoma and suspects", "G", n) for n in range(1, 40)]
    eyes += [("Glaucoma and suspects", "S", n) for n in range(1, 36)]
    for group, letter, number in eyes:
        path = tmp_path / group / "Stereo Images" / f"{letter}-{number}-R.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    train, test = (load_samples(f"rim-one-r3:{tmp_path}#{split}") for split in ("train", "test"))
    assert (len(train), len(test)) == (99, 60)
    count = {letter: sum(s.id[0] == letter for s in test) for letter in "NGS"}
    assert count == {"N": 34, "G": 11, "S": 15}


def test_rim_one_dl(tmp_path):
    images = tmp_path / "RIM-ONE_DL_images"
    masks = tmp_path / "RIM-ONE_DL_reference_segmentations"
    photograph(images / "partitioned_randomly" / "training_set" / "normal" / "r1_Im001.png")
    photograph(images / "partitioned_by_hospital" / "test_set" / "glaucoma" / "r3_G-1-L.png")
    for group, stem in (("normal", "r1_Im001"), ("glaucoma", "r3_G-1-L")):
        save(masks / group / f"{stem}-1-Disc-T.png", DISC * 255)
        save(masks / group / f"{stem}-1-Cup-T.png", CUP * 255)
    (train,) = load_samples(f"rim-one-dl:{tmp_path}#train")
    (test,) = load_samples(f"rim-one-dl:{tmp_path}#test-by_hospital")
    assert (train.id, test.id) == ("r1_Im001", "r3_G-1-L")
    assert np.array_equal(read_mask(train)[0], CLASSES)
    assert np.array_equal(read_mask(test)[0], CLASSES)


def test_drishti_gs_counts_experts(tmp_path):
    folder = tmp_path / "Drishti-GS1_files" / "Training"
    photograph(folder / "Images" / "drishtiGS_002.png")
    maps = folder / "GT" / "drishtiGS_002" / "SoftMap"
    votes = np.zeros((12, 10))
    votes[2:10, 2:8] = 255
    votes[2, 2:8], votes[3, 2:8] = 64, 191  # one expert, three experts
    save(maps / "drishtiGS_002_ODsegSoftmap.png", votes)
    save(maps / "drishtiGS_002_cupsegSoftmap.png", CUP * 255)

    def disc_rows(annotation):
        (sample,) = load_samples(f"drishti-gs:{tmp_path}#train", annotation)
        return np.flatnonzero((read_mask(sample)[0] > 0).any(axis=1))[0]

    assert disc_rows(None) == disc_rows("majority") == 3
    assert disc_rows("any") == 2
    assert disc_rows("all") == 4


def test_folder_pairs_by_stem(tmp_path):
    photograph(tmp_path / "images" / "one.jpg")
    photograph(tmp_path / "images" / "two.TIFF")
    save(tmp_path / "masks" / "one.png", CLASSES)
    one, two = load_samples(f"folder:{tmp_path}")
    assert np.array_equal(read_mask(one)[0], CLASSES)
    assert two.masks == ()
    assert ids(load_samples(f"folder:{tmp_path / 'images'}")) == ["one", "two"]


def test_manifest_csv_and_monai_datalist(tmp_path):
    for stem in ("one", "two"):
        photograph(tmp_path / "pictures" / f"{stem}.png")
    save(tmp_path / "one_mask.png", refuge_mask())
    rows = [
        {"image": "pictures/one.png", "mask": "one_mask.png", "split": "train"},
        {"image": "pictures/two.png", "mask": "", "split": "test"},
    ]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    datalist = {
        "training": [{"image": "pictures/one.png", "label": "one_mask.png"}],
        "testing": [{"image": "pictures/two.png"}],
    }
    (tmp_path / "list.json").write_text(json.dumps(datalist))
    for name in ("list.csv", "list.json"):
        (train,) = load_samples(f"manifest:{tmp_path / name}#train")
        (test,) = load_samples(f"manifest:{tmp_path / name}#test")
        assert np.array_equal(read_mask(train)[0], CLASSES)
        assert (test.id, test.masks) == ("two", ())


def test_splits_of_a_manifest_go_by_their_usual_names(tmp_path):
    for stem in ("a", "b", "c"):
        photograph(tmp_path / f"{stem}.png")
    (tmp_path / "list.csv").write_text("image,split\na.png,Training\nb.png,val\nc.png,Test\n")
    found = [ids(load_samples(f"manifest:{tmp_path / 'list.csv'}#{s}"))
             for s in ("train", "validation", "test")]  # fmt: skip
    assert found == [["a"], ["b"], ["c"]]


def test_rim_one_dl_without_a_split_is_its_random_partition(tmp_path):
    for partition in ("partitioned_randomly", "partitioned_by_hospital"):
        for part, stem in (("training_set", "r1_Im001"), ("test_set", "r1_Im002")):
            photograph(tmp_path / "RIM-ONE_DL_images" / partition / part / "normal" / f"{stem}.png")
    assert ids(load_samples(f"rim-one-dl:{tmp_path}")) == ["r1_Im001", "r1_Im002"]


def test_drishti_whose_photographs_are_in_folders_by_class(tmp_path):
    for part, truth, groups in (
        ("Training", "GT", ("GLAUCOMA", "NORMAL")),
        ("Test", "Test_GT", ("glaucoma", "normal")),
    ):
        for number, group in enumerate(groups):
            stem = f"drishtiGS_{part}{number}"
            photograph(tmp_path / part / "Images" / group / f"{stem}.png")
            for structure, mask in (("OD", DISC), ("cup", CUP)):
                file = (
                    tmp_path / part / truth / stem / "SoftMap" / f"{stem}_{structure}segSoftmap.png"
                )
                save(file, mask * 255)
    for split in ("train", "test"):
        found = require_masks(load_samples(f"drishti-gs:{tmp_path}#{split}"), "drishti")
        assert len(found) == 2
        for sample in found:
            assert np.array_equal(read_mask(sample)[0], CLASSES)


def test_the_folder_without_photographs_is_named(tmp_path):
    (tmp_path / "Training" / "Images" / "NORMAL").mkdir(parents=True)
    with pytest.raises(InputError, match="No file .png, .* in .*/Training/Images or below it"):
        load_samples(f"drishti-gs:{tmp_path}#train")


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_photographs_of_one_name_have_ids_in_a_manifest(tmp_path, kind):
    rows = []
    for patient in ("P1", "P2"):
        photograph(tmp_path / patient / "OD.png")
        save(tmp_path / patient / "OD_mask.png", CLASSES)
        rows.append((f"{patient}/OD.png", f"{patient}/OD_mask.png", f"{patient}-OD"))
    file = tmp_path / f"list.{kind}"

    def write(rows):
        if kind == "csv":
            lines = ["image,mask,id", *(",".join(row) for row in rows)]
            file.write_text("\n".join(lines))
        else:
            named = [dict(zip(("image", "label", "id"), row, strict=True)) for row in rows]
            file.write_text(json.dumps({"training": named}))

    write(rows)
    assert ids(load_samples(f"manifest:{file}")) == ["P1-OD", "P2-OD"]
    write([(*row[:2], "") for row in rows])
    with pytest.raises(
        InputError, match="one photograph per name .* a manifest with a column `id`"
    ):
        load_samples(f"manifest:{file}")
    write([(*row[:2], row[0]) for row in rows])
    with pytest.raises(InputError, match="an id that can be a file name .* Got: 'P1/OD.png'"):
        load_samples(f"manifest:{file}")


def test_hidden_files_are_passed_over(tmp_path):
    photograph(tmp_path / "Training400" / "Glaucoma" / "g0001.jpg")
    photograph(tmp_path / "Training400" / "Glaucoma" / "._g0001.jpg")
    assert ids(load_samples(f"refuge:{tmp_path}#train")) == ["g0001"]


def test_a_stray_image_among_rim_ones_is_named(tmp_path):
    for group in ("Healthy", "Glaucoma and suspects"):
        photograph(tmp_path / group / "Stereo Images" / "thumb.png")
    with pytest.raises(InputError, match="names such as N-10-R.jpg .* Got: thumb.png"):
        load_samples(f"rim-one-r3:{tmp_path}")


def test_the_target_list_has_no_trace_of_masks(tmp_path):
    photograph(tmp_path / "images" / "one.png")
    save(tmp_path / "masks" / "one.png", CLASSES)
    (sample,) = without_masks(load_samples(f"folder:{tmp_path}"))
    assert (sample.masks, sample.encoding) == ((), "")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("refuge", "Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of refuge"),
        ("refuse:/x", "Got: 'refuse:/x'"),
        ("refuge:/x#dev", "split of refuge to be one of train, validation, test. Got: 'dev'"),
        ("refuge:/no/such", "Expected refuge data at /no/such, a folder. Got: nothing"),
        (f"folder:{__file__}", "a folder. Got: a file"),
        ("manifest:/tmp", "Expected manifest data at /tmp, a file. Got: a folder"),
    ],
)
def test_wrong_addresses_are_explained(uri, message):
    with pytest.raises(InputError, match=message):
        load_samples(uri)


@pytest.mark.parametrize(
    "kind", [k for k, row in LAYOUTS.items() if row.root == "a folder" and k != "outlined"]
)
def test_a_folder_of_another_layout_tells_what_is_there(kind, tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match=r"photographs at .*Got: none.*notes"):
        load_samples(f"{kind}:{tmp_path}")


def test_unknown_annotation(tmp_path):
    with pytest.raises(InputError, match="one of average, expert1, expert2. Got: expert3"):
        load_samples(f"rim-one-r3:{tmp_path}", "expert3")


def test_a_missing_mask_is_named(tmp_path):
    photograph(tmp_path / "Training400" / "Glaucoma" / "g0001.jpg")
    samples = load_samples(f"refuge:{tmp_path}#train")
    with pytest.raises(InputError, match=r"none for 1, .*g0001.jpg \(looked for .*g0001.bmp\)"):
        require_masks(samples, "refuge:x#train")


def test_two_masks_of_one_image_are_refused(tmp_path):
    photograph(tmp_path / "images" / "one.jpg")
    save(tmp_path / "masks" / "one.png", CLASSES)
    save(tmp_path / "masks" / "one.bmp", CLASSES)
    with pytest.raises(InputError, match=r"one mask for .*one\.jpg\. Got: .*bmp and .*png\. "):
        load_samples(f"folder:{tmp_path}")


def test_images_in_subfolders_are_not_searched(tmp_path):
    photograph(tmp_path / "images" / "left" / "one.png")
    with pytest.raises(
        InputError, match=r"No file \.png, .* in .*images, whose subfolders .* \(left\)"
    ):
        load_samples(f"folder:{tmp_path}")


def test_many_faults_are_told_in_a_few_lines(tmp_path):
    (tmp_path / "list.csv").write_text("image\n" + "".join(f"{n}.png\n" for n in range(9)))
    with pytest.raises(InputError) as caught:
        load_samples(f"manifest:{tmp_path / 'list.csv'}")
    *first, last = str(caught.value).splitlines()
    assert len(first) == 5
    assert last == "And 4 more, which `fundus-uda inspect` lists."


def test_two_images_of_one_name_are_refused(tmp_path):
    photograph(tmp_path / "images" / "one.jpg")
    photograph(tmp_path / "images" / "one.png")
    with pytest.raises(InputError, match="one photograph per name"):
        load_samples(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.csv", "picture\nx.png\n", "Got: a first line without: picture. Rename"),
        ("list.json", "{", "MONAI datalist"),
        ("list.json", '{"training": [{"img": "x"}]}', "KeyError"),
        ("list.csv", "image\nnone.png\n", "the image .*none.png, .* Got: no such file"),
        ("list.csv", "img,mask\nx.png,y.png\n", "Got: a first line without: img, mask. Rename"),
        ("list.csv", "image,label\nx.png,y.png\n", "Got: 'label'. Rename it to 'mask'"),
        ("list.csv", "image,masks\nx.png,y.png\n", "Got: 'masks'. Rename it to 'mask'"),
        ("list.csv", "image,mask\n,y.png\n", "an image in each line .*Got: none in line 2"),
        ("list.csv", "image,split\nx.png,Trian\n", "Got: a split 'Trian'. Name"),
    ],
)
def test_a_broken_manifest_is_explained(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_samples(f"manifest:{tmp_path / name}")


@pytest.mark.parametrize(
    ("uri", "images"),
    [
        ("refuge:{}/refuge#train", 321),
        ("drishti-gs:{}/drishti_gs#train", 50),
        ("drishti-gs:{}/drishti_gs#test", 51),
    ],
)
def test_real_photographs(uri, images, real_data):
    samples = require_masks(load_samples(uri.format(real_data)), uri)
    assert len(samples) == images
    mask, clipped = read_mask(samples[0])
    assert set(np.unique(mask)) == {0, 1, 2}
    assert clipped < mask.size / 100


@pytest.mark.parametrize(
    "text", ["id;path;age\none;a.png;60\n", "image,split,age\na.png,train,9\n"]
)
def test_a_manifest_has_any_usual_delimiter_ids_and_more_columns(text, tmp_path, capsys):
    photograph(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(text)
    (sample,) = load_samples(f"manifest:{tmp_path / 'list.csv'}#training")
    assert sample.id == ("one" if "id" in text else "a")
    assert "list.csv: not read are the columns age." in capsys.readouterr().err


def test_a_bare_path_is_a_folder_or_a_manifest(cameras, tmp_path):
    assert load_samples(str(cameras / "a")) == load_samples(f"folder:{cameras / 'a'}")
    photograph(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image\na.png\n")
    assert ids(load_samples(str(tmp_path / "list.csv"))) == ["a"]


def test_a_set_whose_writing_was_cut_off_is_refused(cameras, tmp_path):
    shutil.copytree(cameras / "a", tmp_path / "set")
    with pytest.raises(ZeroDivisionError), unfinished(tmp_path / "set"):
        raise ZeroDivisionError
    with pytest.raises(
        InputError, match="Expected a whole dataset at .*set. Got: one whose writing"
    ):
        load_samples(f"folder:{tmp_path / 'set'}")
    with unfinished(tmp_path / "set"):
        pass
    assert len(load_samples(f"folder:{tmp_path / 'set'}")) == 8


def test_masks_of_a_folder_may_be_nifti(tmp_path):
    for name in ("eye", "other", "third"):
        photograph(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "masks").mkdir()
    write_mask_nifti(CLASSES, tmp_path / "masks" / "eye.nii.gz")
    write_mask_nifti(CLASSES, tmp_path / "masks" / "other.nii")
    save(tmp_path / "masks" / "third.png", CLASSES)
    samples = require_masks(load_samples(f"folder:{tmp_path}"), "")
    assert all(np.array_equal(read_mask(sample)[0], CLASSES) for sample in samples)
    save(tmp_path / "masks" / "eye.png", CLASSES)  # as `predict` writes both: the image counts
    assert load_samples(f"folder:{tmp_path}")[0].masks[0].name == "eye.png"
    write_mask_nifti(CLASSES, tmp_path / "masks" / "third.nii")
    (tmp_path / "masks" / "third.png").unlink()
    write_mask_nifti(CLASSES, tmp_path / "masks" / "third.nii.gz")
    with pytest.raises(InputError, match="one mask for .*third.jpg. Got: .*third.nii and .*third"):
        load_samples(f"folder:{tmp_path}")
