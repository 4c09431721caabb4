import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from fundus_uda.errors import InputError
from roadscene.classes import CLASSES, IGNORE
from roadscene.data import load_frames
from roadscene.evaluation import (
    confusion_matrix,
    evaluate,
    iou,
    iou_table,
    mean_iou,
    write_evaluation,
)
from roadscene.model import Model
from tests.fixtures.tiny_streets import settings, streets, write_ids

ID_OF_MBIKE = 32
INDEX = {c.name: i for i, c in enumerate(CLASSES)}


def indices(*names):
    return np.array([[IGNORE if name is None else INDEX[name] for name in names]], np.uint8)


def test_confusion_and_iou_by_hand():
    label = indices("road", "road", "road", "car", "car", None)
    predicted = indices("road", "road", "car", "car", "sky", "sky")
    confusion = confusion_matrix(label, predicted)
    assert confusion.sum() == 5  # the ignored pixel counts nowhere, wrong as it is
    assert confusion[INDEX["road"], INDEX["car"]] == 1
    values = iou(confusion)
    assert values[INDEX["road"]] == 2 / 3
    assert values[INDEX["car"]] == 1 / 3
    assert values[INDEX["sky"]] == 0  # predicted, never labelled
    assert np.isnan(values[INDEX["bus"]])  # neither


@examples(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, (3, 4), elements=st.sampled_from([*range(19), IGNORE])),
    arrays(np.uint8, (3, 4), elements=st.integers(0, 18)),
)
def test_iou_equals_a_loop_over_pixels(label, predicted):
    values = iou(confusion_matrix(label, predicted))
    for index in range(19):
        counted = label != IGNORE
        both = (counted & (label == index) & (predicted == index)).sum()
        either = (counted & ((label == index) | (predicted == index))).sum()
        expected = both / either if either else float("nan")
        assert values[index] == pytest.approx(expected, nan_ok=True)


def test_means_by_both_conventions_of_absent_classes():
    label = indices("road", "road", "wall", "train")
    predicted = indices("road", "wall", "wall", "wall")
    table = iou_table(confusion_matrix(label, predicted), 19)
    road, wall, train = 1 / 2, 1 / 3, 0.0
    assert mean_iou(table, 19) == pytest.approx(
        {
            "miou": (road + wall + train) / 3,
            "miou_absent_as_zero": (road + wall + train) / 19,
            "miou_without_others": (road + wall + train) / 3,
        }
    )


def test_model_of_16_classes_by_both_conventions_of_other_classes():
    """A train that it calls a wall is its mistake, or is not looked at. mIoU* has no wall."""
    label = indices("road", "road", "wall", "train")
    predicted = indices("road", "wall", "wall", "wall")
    table = iou_table(confusion_matrix(label, predicted), 16)
    assert len(table) == 16
    assert mean_iou(table, 16) == pytest.approx(
        {
            "miou": (1 / 2 + 1 / 3) / 2,
            "miou_absent_as_zero": (1 / 2 + 1 / 3) / 16,
            "miou_without_others": (1 / 2 + 1 / 2) / 2,
        }
    )
    assert mean_iou(table, 13)["miou"] == 1 / 2
    assert mean_iou(table, 13)["miou_absent_as_zero"] == pytest.approx(1 / 2 / 13)


def test_files_of_an_evaluation(tmp_path):
    confusion = confusion_matrix(indices("road", "car"), indices("road", "road"))
    summary = write_evaluation(confusion, 16, tmp_path / "new", {"method": "asa"})
    assert summary == json.loads((tmp_path / "new" / "summary.json").read_text())
    assert {"16", "13"} <= summary.keys()
    assert "19" not in summary
    assert summary["13"]["miou"] == pytest.approx(0.25)
    assert len(summary["absent"]) == 14
    assert summary["method"] == "asa"
    lines = (tmp_path / "new" / "iou.csv").read_text().splitlines()
    assert lines[0].startswith("class,smallest_table,iou,")
    assert len(lines) == 17


class Painter(nn.Module):
    """Class by brightness, so that predictions are right in part. 19 logits."""

    def forward(self, image):
        level = (image.mean(dim=1) * 9).round().clamp(0, 18).long()
        return nn.functional.one_hot(level, 19).permute(0, 3, 1, 2).float()


def painter(root) -> Model:
    return Model(Painter(), settings(root), torch.device("cpu"))


def test_iou_equals_the_official_evaluators(tmp_path, monkeypatch):
    monkeypatch.setenv("CITYSCAPES_RESULTS", str(tmp_path / "pictures" / "export"))
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    root = streets(tmp_path)
    frames = load_frames(f"cityscapes:{root / 'target'}#val")
    ids = [label_id for label_id in range(34) if label_id != ID_OF_MBIKE]
    for frame in frames:  # the ignored ones too
        write_ids(frame.label, np.resize(np.repeat(ids, 200), (64, 96)))
    confusion = evaluate(painter(root), frames, tmp_path / "pictures")

    official.args.predictionPath = None
    official.args.predictionWalk = None
    official.args.evalInstLevelScore = False
    official.args.JSONOutput = False
    official.args.quiet = True
    labels = [str(frame.label) for frame in frames]
    exported = [official.getPrediction(official.args, label) for label in labels]
    result = official.evaluateImgLists(exported, labels, official.args)
    theirs = [
        result["classScores"][official.id2label[road_class.cityscapes].name]
        for road_class in CLASSES
    ]
    np.testing.assert_allclose(iou(confusion), theirs, rtol=1e-12)
    assert np.nanmax(theirs) > 0
    ours = mean_iou(iou_table(confusion, 19), 19)["miou"]
    assert ours == pytest.approx(result["averageScoreClasses"], rel=1e-12)
    assert np.isnan(theirs[INDEX["mbike"]])


def test_export_holds_one_file_per_image_and_nothing_else(tmp_path):
    root = streets(tmp_path)
    frames = load_frames(f"cityscapes:{root / 'target'}#val")
    evaluate(painter(root), frames, tmp_path / "pictures")
    expected = {f"{frame.id}.png" for frame in frames}
    for folder in ("export", "colour"):
        assert {path.name for path in (tmp_path / "pictures" / folder).iterdir()} == expected


def test_labels_without_a_single_class_are_refused(tmp_path):
    root = streets(tmp_path)
    frames = load_frames(f"cityscapes:{root / 'target'}#val")
    for frame in frames:
        write_ids(frame.label, np.zeros((64, 96)))
    with pytest.raises(InputError, match="Expected labelled pixels in 2 labels.*labelIds.png"):
        evaluate(painter(root), frames)
