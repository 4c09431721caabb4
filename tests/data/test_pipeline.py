import pytest
import torch
from monai.data import get_track_meta, set_track_meta

from fundus_uda.data.pipeline import Pipeline
from fundus_uda.data.transforms import (
    eval_transforms,
    plain_transforms,
    strong_transforms,
    weak_strong_transforms,
)

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


def colourful():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=generator)
    return {"image": image, "label": (image[:1] > 128).to(torch.uint8), "zoom": 1.1}


@pytest.mark.parametrize("make", [plain_transforms, strong_transforms, weak_strong_transforms])
def test_a_pipeline_is_monais_with_its_metadata_and_seeds_bit_for_bit(make):
    ours, item = make(MEAN, STD), colourful()
    monais = make(MEAN, STD).compose
    for seed in (0, 1, 5, 2**32 - 1, *range(100, 110)):
        monais.set_random_state(seed=seed)
        ours.reseed(seed)
        expected, got = monais(dict(item)), ours(item)
        assert got.keys() == expected.keys()
        assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_an_item_stays_as_it_is():
    item = colourful()
    for transform in (strong_transforms(MEAN, STD), eval_transforms(MEAN, STD)):
        transform(item)
    assert item.keys() == colourful().keys()
    assert torch.equal(item["image"], colourful()["image"])
    assert torch.equal(item["label"], colourful()["label"])


@pytest.mark.parametrize("tracked", [True, False])
def test_metadata_is_off_inside_pipelines_alone(tracked):
    seen = []

    def fails(item):
        seen.append(get_track_meta())
        raise ZeroDivisionError

    def runs_another(item):
        Pipeline([lambda item: item])(item)
        seen.append(get_track_meta())
        return item

    before = get_track_meta()
    try:
        set_track_meta(tracked)
        with pytest.raises(RuntimeError):
            Pipeline([fails])({})
        assert get_track_meta() is tracked
        Pipeline([runs_another])({})
        assert get_track_meta() is tracked
    finally:
        set_track_meta(before)
    assert seen == [False, False]
