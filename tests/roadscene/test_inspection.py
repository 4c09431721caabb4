import pytest

from fundus_uda.errors import InputError
from roadscene.inspection import inspect
from tests.fixtures.tiny_streets import ids_of, write_ids, write_image, write_png16


def test_counts_sizes_and_shares(tmp_path):
    for name, shape in (("1", (6, 8)), ("2", (6, 8)), ("3", (4, 6))):
        write_image(tmp_path / "images" / f"{name}.png", shape)
        write_ids(tmp_path / "labels" / f"{name}.png", ids_of([7, 7, 26, 0], shape))
    found = inspect(f"gta5:{tmp_path}")
    assert (found.images, found.labelled) == (3, 3)
    assert found.sizes == {"8x6": 2, "6x4": 1}
    assert found.class_shares == pytest.approx({"road": 2 / 3, "car": 1 / 3})
    assert found.ignored_share == pytest.approx(0.25)
    assert found.problems == []


def test_every_problem_is_listed_with_its_file(tmp_path):
    names = ("bad-ids", "no-label", "other-size", "broken", "good")
    for name in names:
        write_image(tmp_path / "images" / f"{name}.png")
        write_ids(tmp_path / "labels" / f"{name}.png", ids_of([7]))
    write_ids(tmp_path / "labels" / "bad-ids.png", ids_of([99]))
    (tmp_path / "labels" / "no-label.png").unlink()
    write_ids(tmp_path / "labels" / "other-size.png", ids_of([7], (9, 9)))
    (tmp_path / "images" / "broken.png").write_bytes(b"nothing")
    found = inspect(f"gta5:{tmp_path}")
    assert found.labelled == 1
    assert len(found.problems) == 4
    for name in names[:4]:
        assert any(name in problem for problem in found.problems)


def test_zeroed_synthia_label_is_a_problem(tmp_path):
    write_image(tmp_path / "RGB" / "0000000.png")
    zeros = ids_of([0])
    write_png16(tmp_path / "GT" / "LABELS" / "0000000.png", (zeros, zeros + 1, zeros))
    (problem,) = inspect(f"synthia:{tmp_path}").problems
    assert "id 0 (void) alone" in problem


def test_labels_without_any_class_are_a_problem(tmp_path):
    """As those of Cityscapes' test split, whose true ones are not public."""
    name = "berlin/berlin_000000_000019"
    write_image(tmp_path / "leftImg8bit/test" / f"{name}_leftImg8bit.png")
    write_ids(tmp_path / "gtFine/test" / f"{name}_gtFine_labelIds.png", ids_of([3]))
    found = inspect(f"cityscapes:{tmp_path}")
    assert (found.labelled, found.class_shares, found.ignored_share) == (1, {}, 1.0)
    (problem,) = found.problems
    assert problem.startswith(f"Expected pixels of a class in the labels at cityscapes:{tmp_path}.")


def test_unlabelled_images_are_no_problem(tmp_path):
    write_image(tmp_path / "Tokyo" / "Images" / "Train" / "pano_1.png")
    found = inspect(f"cross-city:{tmp_path / 'Tokyo'}#train")
    assert (found.images, found.labelled, found.problems) == (1, 0, [])
    with pytest.raises(InputError, match="Expected cross-city images"):
        inspect(f"cross-city:{tmp_path / 'Tokyo'}#test")
