import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fundus_uda.errors import InputError
from roadscene.classes import CLASSES, class_table
from roadscene.model import Model
from roadscene.prediction import predict
from tests.fixtures.tiny_streets import settings, streets, write_image

CPU = torch.device("cpu")


class Always(nn.Module):
    """One class, whatever it sees."""

    def __init__(self, index: int, classes: int) -> None:
        super().__init__()
        self.index, self.classes = index, classes

    def forward(self, image):
        logits = torch.zeros(len(image), self.classes, *image.shape[-2:])
        logits[:, self.index] = 1
        return logits


@pytest.mark.parametrize("classes", [19, 16, 13])
def test_every_class_is_written_as_its_cityscapes_id_and_colour(tmp_path, classes):
    write_image(tmp_path / "in" / "a.png", (20, 30))
    of = settings(tmp_path)
    of = of.model_copy(update={"data": of.data.model_copy(update={"classes": classes})})
    for index, road_class in enumerate(class_table(classes)):
        out = tmp_path / str(index)
        table = predict(Model(Always(index, classes), of, CPU), [tmp_path / "in"], out)
        assert table["status"].tolist() == ["ok"]
        ids = np.asarray(Image.open(out / "label_ids" / "a.png"))
        colours = np.asarray(Image.open(out / "colour" / "a.png"))
        assert ids.shape == (20, 30)
        assert set(ids.ravel()) == {road_class.cityscapes}
        assert set(map(tuple, colours.reshape(-1, 3).tolist())) == {road_class.colour}


def test_files_and_folders_may_be_mixed_but_names_must_differ(tmp_path):
    for name in ("one/a.png", "one/b.jpg", "two/a.png"):
        write_image(tmp_path / name)
    model = Model(Always(0, len(CLASSES)), settings(tmp_path), CPU)
    paths = [tmp_path / "one" / "b.jpg", tmp_path / "two"]
    table = predict(model, paths, tmp_path / "out")
    assert table["image"].tolist() == ["b", "a"]
    assert table["status"].tolist() == ["ok", "ok"]
    with pytest.raises(InputError, match="different names.*one/a.png and .*two/a.png"):
        predict(model, [tmp_path / "one", tmp_path / "two"], tmp_path / "new")
    with pytest.raises(InputError, match="Expected an image or a folder of images. Got: .*three"):
        predict(model, [tmp_path / "three"], tmp_path / "new")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Expected images in .*empty. Got: none"):
        predict(model, [tmp_path / "empty"], tmp_path / "new")


def test_prediction_draws_no_random_numbers(tmp_path):
    root = streets(tmp_path)
    images = root / "target" / "leftImg8bit" / "val" / "dusk"
    before = torch.get_rng_state()
    predict(Model(Always(0, 19), settings(root), CPU), [images], tmp_path / "out")
    assert torch.equal(before, torch.get_rng_state())
