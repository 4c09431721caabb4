import torch
from torch import nn

from fundus_uda.engine.settings import TeacherSettings
from fundus_uda.engine.teacher import pseudo_labels, update_ema

IGNORE = 255
PROB = torch.tensor(  # one row of six pixels, two classes: 0, 0, 0, 0, 1, 1
    [[0.95, 0.90, 0.80, 0.60, 0.30, 0.45], [0.05, 0.10, 0.20, 0.40, 0.70, 0.55]]
).reshape(1, 2, 1, 6)


def labels(**changes) -> list[int]:
    return pseudo_labels(PROB, TeacherSettings(**changes), IGNORE).flatten().tolist()


def test_pixels_below_the_confidence_do_not_teach():
    assert labels(confidence=0.9) == [0, 0, IGNORE, IGNORE, IGNORE, IGNORE]
    assert labels(confidence=0.0) == [0, 0, 0, 0, 1, 1]


def test_each_class_keeps_its_share_of_its_own_most_confident_pixels():
    assert labels(keep_fraction=0.5) == [0, 0, IGNORE, IGNORE, 1, IGNORE]
    assert labels(keep_fraction=0.01) == [0, IGNORE, IGNORE, IGNORE, 1, IGNORE]
    assert labels(keep_fraction=1.0) == [0, 0, 0, 0, 1, 1]


def test_a_teacher_moves_its_weights_and_statistics_and_copies_counters():
    teacher, segmenter = nn.BatchNorm1d(1).eval(), nn.BatchNorm1d(1)
    segmenter.weight.data.fill_(3.0)
    segmenter.running_mean.fill_(10.0)
    segmenter.num_batches_tracked.fill_(4)
    update_ema(teacher, segmenter, decay=0.9)
    assert teacher.weight.item() == torch.tensor(0.9 * 1 + 0.1 * 3).item()
    assert teacher.running_mean.item() == 1.0
    assert teacher.num_batches_tracked.item() == 4
