"""The translated source of the road scenes, on embedded streets."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli.roadscene import app
from fundus_uda.translation.settings import read_settings
from roadscene.data import load_frames, read_label
from roadscene.training import train
from roadscene.translated_source import _domain, _FrameSegmenter, write_translated_source
from tests.fixtures.tiny_streets import (
    ids_of,
    settings,
    streets,
    write_ids,
    write_image,
    write_png16,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return streets(tmp_path_factory.mktemp("streets"))


def translate(method, source, target, out, model=None, overrides=()):
    of = read_settings(method, source, target, model, "cpu", list(overrides))
    return write_translated_source(of, out, CPU)


def require_same_labels(new, old):
    assert [frame.id for frame in new] == [frame.id for frame in old]
    for one, other in zip(new, old, strict=True):
        assert np.array_equal(read_label(one, 19), read_label(other, 19))
        images = [np.asarray(Image.open(frame.image)) for frame in (one, other)]
        assert images[0].shape == images[1].shape
        assert not np.array_equal(*images)


def test_cycada_writes_a_source_to_train_on(root, tmp_path):
    train(settings(root, method="source", steps=1, snapshot_every=1), tmp_path / "model", CPU)
    source, target = f"cityscapes:{root / 'source'}#train", f"cityscapes:{root / 'target'}#train"
    small = ["crop=32", "generator.channels=2", "generator.blocks=1", "discriminator_channels=2",
             "steps=2", "snapshot_every=2", "lr=0.01"]  # fmt: skip
    out = tmp_path / "out"
    uri = translate("cycada", source, target, out, str(tmp_path / "model"), small)
    assert uri == f"cityscapes:{out}#train"
    require_same_labels(load_frames(uri), load_frames(source))
    of = settings(root, steps=1, snapshot_every=1)
    data = of.data.model_copy(update={"source": uri, "test": None})
    train(of.model_copy(update={"data": data}), tmp_path / "run", CPU)


def test_the_networks_input_is_that_of_its_training(root):
    """RGB in [-1, 1] to what `network_input` gives, BGR without the mean included."""
    from roadscene.images import network_input
    from roadscene.model import NORMALISATIONS

    image = Image.open(load_frames(f"cityscapes:{root / 'source'}#train")[0].image)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1
    for normalisation in NORMALISATIONS.values():
        seen = _FrameSegmenter(torch.nn.Identity(), normalisation)(pixels)[0]
        expected = network_input(image, (image.height, image.width), normalisation)
        assert torch.allclose(seen, expected, atol=1e-3)


@pytest.mark.parametrize("method", ["fourier", "histogram"])
def test_each_layout_is_kept(method, root, tmp_path):
    target = f"cityscapes:{root / 'target'}#train"
    write_image(tmp_path / "gta5" / "images" / "1.png", (24, 32))
    write_ids(tmp_path / "gta5" / "labels" / "1.png", ids_of([7, 26], (24, 32)))
    synthia = tmp_path / "synthia" / "RAND_CITYSCAPES"
    write_image(synthia / "RGB" / "1.png", (24, 32))
    ids = ids_of([3, 8, 22], (24, 32))
    write_png16(synthia / "GT" / "LABELS" / "1.png", [ids, ids, ids])
    for kind in ("gta5", "synthia"):
        source, out = f"{kind}:{tmp_path / kind}", tmp_path / f"out_{kind}"
        uri = translate(method, source, target, out)
        assert uri == f"{kind}:{out}"
        require_same_labels(load_frames(uri), load_frames(source))


def test_frames_can_be_sent_to_worker_processes(root):
    frames = _domain(load_frames(f"cityscapes:{root / 'source'}#train"), (32, 48))
    sent = pickle.loads(pickle.dumps(frames))
    assert np.array_equal(sent.read(1), frames.read(1))
    assert sent.working_size(64, 96) == (32, 48)


def test_target_labels_are_never_read(tmp_path):
    root = streets(tmp_path)
    source, target = f"cityscapes:{root / 'source'}#train", f"cityscapes:{root / 'target'}#train"
    results = []
    for labels in ("there", "broken"):
        translate("histogram", source, target, tmp_path / labels)
        results.append(
            [p.read_bytes() for p in sorted((tmp_path / labels).rglob("*_leftImg8bit.png"))]
        )
        for path in (root / "target").rglob("*_labelIds.png"):
            path.write_bytes(b"junk")
    assert len(results[0]) == 4
    assert results[0] == results[1]


def test_the_command(root, tmp_path):
    uris = ["--source", f"cityscapes:{root / 'source'}#train"]
    uris += ["--target", f"cityscapes:{root / 'target'}"]
    result = CliRunner().invoke(
        app, ["translate", "histogram", *uris, "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert f"cityscapes:{tmp_path / 'out'}#train" in result.output.replace("\n", "")
