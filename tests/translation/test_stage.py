import csv

import numpy as np
import pytest
import torch

from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from fundus_uda.translation import stage
from fundus_uda.translation.images import as_image
from fundus_uda.translation.settings import FourierSettings, HistogramSettings
from fundus_uda.translation.stage import (
    require_ready,
    train_translation,
    translate_by_generator,
    translated,
)
from fundus_uda.unfinished import UNFINISHED
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.tiny_translation import domain, segmenter, settings

CPU = torch.device("cpu")
FOURIER = FourierSettings(source="s", target="t", beta=0.05)
HISTOGRAM = HistogramSettings(source="s", target="t")


def light(settings, folder, source=None, target=None):
    source, target = source or domain("s", 3), target or domain("t", 2, brightness=100)
    return list(translated(source, target, None, settings, RunFolder(folder), CPU))


def train(folder, of=None, source=None, continue_run=False, network=None):
    torch.manual_seed(0)
    source, target = source or domain("s", 5), domain("t", 3, brightness=80)
    network = network or segmenter()
    of, folder = of or settings(), RunFolder(folder)
    require_ready(of, folder, continue_run)
    return train_translation(source, target, network, of, folder, CPU)


def right_half(image):
    field = np.zeros(image.shape[:2], bool)
    field[:, image.shape[1] // 2 :] = True
    return field


def test_values_are_clipped_and_rounded_without_wrapping_around():
    image = as_image(
        np.array([[[-3.0, 254.6, 300.0]]]), np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), bool)
    )
    assert image.tolist() == [[[0, 255, 255]]]
    assert image.dtype == np.uint8


def test_histograms_become_the_targets(tmp_path):
    target = domain("t", 1, brightness=100, size=(64, 64))
    for image in light(HISTOGRAM, tmp_path / "run", target=target):
        for quantile in (0.1, 0.5, 0.9):
            expected = np.quantile(target.read(0), quantile, axis=(0, 1))
            assert np.quantile(image, quantile, axis=(0, 1)) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("method", [FOURIER, HISTOGRAM])
def test_the_style_of_oneself_changes_nothing(method, tmp_path):
    images = light(method, tmp_path / "run", domain("s", 1), domain("t", 1))
    assert np.abs(images[0].astype(int) - domain("s", 1).read(0)).max() <= 1


@pytest.mark.parametrize("method", [FOURIER, HISTOGRAM])
def test_borders_stay_as_they_are_and_have_no_say(method, tmp_path):
    """A target whose left half is border gives the style of its right half alone."""
    plain = domain("t", 1, brightness=100)
    black = plain.read(0).copy()
    black[:, :24] = 0
    bordered = type(plain)(plain.ids, lambda _: black, plain.working_size, right_half, "", True)
    source = domain("s", 2, field=right_half)
    images = light(method, tmp_path / "run", source, bordered)
    for index, image in enumerate(images):
        assert np.array_equal(image[:, :24], source.read(index)[:, :24])
        mean = image[:, 24:].mean(axis=(0, 1))
        assert mean == pytest.approx(black[:, 24:].mean(axis=(0, 1)), abs=2)


def test_partners_are_written_and_depend_on_seed_and_id_alone(tmp_path):
    def partners(name, settings, source):
        light(settings, tmp_path / name, source, domain("t", 50))
        return {
            r["source"]: r["target"] for r in csv.DictReader((tmp_path / name / "pairs.csv").open())
        }

    few, many = (partners(f"n{n}", HISTOGRAM, domain("s", n)) for n in (3, 6))
    assert few == {name: many[name] for name in few}
    other = partners("other", HISTOGRAM.model_copy(update={"seed": 1}), domain("s", 6))
    assert other != many


def test_a_width_is_the_size_at_which_the_networks_see_images(tmp_path, monkeypatch):
    seen = []

    def see(source, target, *_):
        seen.extend((source.working_size(*sizes[0]), target.working_size(*sizes[1])))
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "train_translation", see)
    sizes = ((40, 80), (50, 70))
    source, target = (domain(name, 1, size=size) for name, size in zip("st", sizes, strict=True))
    for of in (settings(width=64), settings()):
        with pytest.raises(KeyboardInterrupt):
            translated(source, target, segmenter(), of, RunFolder(tmp_path), CPU)
    assert seen == [(32, 64), (46, 64), *sizes]


def test_a_method_without_training_goes_on_with_the_same_settings_alone(tmp_path):
    """It writes everything anew, where a mark says that not all is there."""
    folder, source, target = RunFolder(tmp_path / "run"), domain("s", 3), domain("t", 2)
    with pytest.raises(InputError, match="Got: nothing"):
        require_ready(FOURIER, folder, continue_run=True)
    next(translated(source, target, None, FOURIER, folder, CPU))
    (folder.path / UNFINISHED).touch()  # as `unfinished` does, which a stop leaves there
    with pytest.raises(InputError, match="new or empty output folder"):
        require_ready(FOURIER, folder, continue_run=False)
    other = FOURIER.model_copy(update={"beta": 0.1})
    with pytest.raises(InputError, match="settings with which .* was begun, to go on. Got: others"):
        require_ready(other, folder, continue_run=True)
    require_ready(FOURIER, folder, continue_run=True)
    again = list(translated(source, target, None, FOURIER, folder, CPU))
    whole = light(FOURIER, tmp_path / "whole", source, target)
    assert np.array_equal(again, whole)
    pairs = [(tmp_path / name / "pairs.csv").read_bytes() for name in ("run", "whole")]
    assert pairs[0] == pairs[1]


def test_a_folder_that_is_not_ready_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    for of in (FOURIER, HISTOGRAM, settings()):
        require_ready(of, RunFolder(tmp_path / "new"), continue_run=False)
        with pytest.raises(InputError, match="new or empty output folder"):
            require_ready(of, RunFolder(tmp_path), continue_run=False)
    with pytest.raises(InputError, match="a checkpoint to resume at .* Got: another folder"):
        require_ready(settings(), RunFolder(tmp_path), continue_run=True)
    with pytest.raises(InputError, match="Got: nothing"):
        require_ready(settings(), RunFolder(tmp_path / "new"), continue_run=True)


def test_seven_steps_equal_three_and_four(tmp_path):
    whole = train(tmp_path / "whole")
    with power_failure(stage, "translation_step", at=3):
        train(tmp_path / "parts")
    parts = train(tmp_path / "parts", continue_run=True)
    assert parts.step == 7
    assert len(parts.pools["S"].images) == 3
    assert_identical(whole.state_dict(), parts.state_dict())
    logs = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert logs[0].startswith("step,adversarial,cycle,identity,semantic,discriminator\n")


def test_another_segmenter_is_refused_on_resume(tmp_path):
    of = settings(steps=1)
    train(tmp_path / "run", of)
    torch.manual_seed(1)
    with pytest.raises(InputError, match="fingerprint of model: .* here, .* there"):
        train(
            tmp_path / "run",
            of,
            continue_run=True,
            network=segmenter(),
        )


def test_the_segmenter_is_not_trained(tmp_path):
    network = segmenter()
    before = network.weight.clone()
    train(tmp_path / "run", settings(steps=1), network=network)
    assert torch.equal(network.weight, before)


def test_generated_images_have_their_own_size_and_keep_their_border(tmp_path):
    source = domain("s", 2, size=(50, 70), field=right_half)
    small = type(source)(source.ids, source.read, lambda h, w: (35, 49), right_half, "s", True)
    state = train(tmp_path / "run", settings(steps=1), small)
    images = list(translate_by_generator(small, state))
    assert len(images) == 2
    for index, image in enumerate(images):
        assert image.shape == (50, 70, 3)
        assert image.dtype == np.uint8
        assert np.array_equal(image[:, :35], source.read(index)[:, :35])
        assert not np.array_equal(image[:, 35:], source.read(index)[:, 35:])


def test_a_generator_at_the_identity_gives_the_image_itself(tmp_path):
    of = settings(generator={"channels": 2, "blocks": 0, "start_at_identity": True})
    state = stage.build_translation_state(of, CPU)
    source = domain("s", 1)
    (image,) = translate_by_generator(source, state)
    assert np.array_equal(image, source.read(0))
