import numpy as np
import pytest

from fundus_uda.data.sizes import SizeDraw, reason_not_to_match, sizes_of


def mask(disc, cup, side=100):
    """A square disc with a square cup, of these heights."""
    classes = np.zeros((side, side), dtype=np.uint8)
    classes[:disc, :disc] = 1
    classes[:cup, :cup] = 2
    return classes


def test_sizes_by_hand():
    sizes = sizes_of([mask(50, 20), mask(40, 0), mask(0, 0)])
    np.testing.assert_allclose(sizes[:2], [[0.25, 0.4], [0.16, 0.0]])
    assert np.isnan(sizes[2]).all()


def test_an_image_is_magnified_until_its_disc_fills_as_much():
    drawn = SizeDraw(np.array([[0.2, 0.5]]), np.array([[0.45, 0.7]]), False).draw(0)
    assert drawn.sample == 0
    assert drawn.zoom == pytest.approx(1.5)  # 2.25 times the area


def test_images_without_a_disc_are_never_drawn():
    own = np.array([[np.nan, np.nan], [0.3, 0.5], [0.3, 0.5]])
    draw = SizeDraw(own, np.array([[0.3, 0.5]]), aligned=False)
    assert {draw.draw(seed).sample for seed in range(20)} == {1, 2}


def test_a_draw_is_a_function_of_its_seed():
    generator = np.random.default_rng(0)
    draw = SizeDraw(
        generator.uniform(0.2, 0.6, (40, 2)), generator.uniform(0.2, 0.6, (9, 2)), False
    )
    drawn = [draw.draw(seed) for seed in range(20)]
    assert drawn == [draw.draw(seed) for seed in range(20)]
    assert len(set(drawn)) > 10


def test_the_source_shows_the_discs_of_the_target_and_all_cups_alike():
    """Of 400 source images only 20 have a ratio above 0.5; nearly half of the draws do."""
    generator = np.random.default_rng(0)
    ratios = np.concatenate([generator.uniform(0.2, 0.5, 380), generator.uniform(0.5, 0.8, 20)])
    own = np.stack([generator.uniform(0.15, 0.3, 400), ratios], axis=1)
    wanted = np.stack([generator.uniform(0.3, 0.5, 60), generator.uniform(0.2, 0.3, 60)], axis=1)
    draw = SizeDraw(own, wanted, aligned=False)
    drawn = [draw.draw(seed) for seed in range(3000)]
    share = np.array([own[d.sample, 0] * d.zoom**2 for d in drawn])
    assert share.mean() == pytest.approx(wanted[:, 0].mean(), abs=0.005)
    assert share.std() == pytest.approx(wanted[:, 0].std(), abs=0.005)  # the spread too
    ratio = np.array([own[d.sample, 1] for d in drawn])
    assert (ratio > 0.5).mean() == pytest.approx(0.45, abs=0.07)


def test_the_source_shows_what_is_aligned_with_it_in_pairs():
    """Large discs have large cups here, in the target and so in the draws."""
    generator = np.random.default_rng(0)
    own = generator.uniform((0.15, 0.2), (0.3, 0.8), (400, 2))
    wanted = np.array([[0.3, 0.4]] * 10 + [[0.4, 0.7]] * 20)
    draw = SizeDraw(own, wanted, aligned=True)
    drawn = [draw.draw(seed) for seed in range(1000)]
    share = np.array([own[d.sample, 0] * d.zoom**2 for d in drawn])
    ratio = np.array([own[d.sample, 1] for d in drawn])
    large = share > 0.35
    assert large.mean() == pytest.approx(2 / 3, abs=0.05)
    np.testing.assert_allclose(share[large], 0.4, atol=0.01)
    np.testing.assert_allclose(ratio[large], 0.7, atol=0.02)
    np.testing.assert_allclose(ratio[~large], 0.4, atol=0.02)


def test_magnifications_are_clipped():
    draw = SizeDraw(np.array([[0.1, 0.5]]), np.array([[0.1, 0.5], [0.6, 0.5], [0.01, 0.5]]), False)
    assert {draw.draw(seed).zoom for seed in range(30)} == {0.5, 1.0, 2.0}


@pytest.mark.parametrize(
    ("found", "share", "reason"),
    [
        (8, 0.3, ""),
        (7, 0.3, "a disc and a cup are found in 7 of the target's images, of at least 8"),
        (8, 0.9, "magnified by 2.12, which is beyond 0.5 to 2.0"),
        (8, 0.04, "magnified by 0.45, which is beyond 0.5 to 2.0"),
    ],
)
def test_a_source_that_cannot_show_the_sizes_says_why(found, share, reason):
    own = np.array([[0.2, 0.5], [np.nan, np.nan]])
    told = reason_not_to_match(own, np.full((found, 2), share))
    assert told.endswith(reason)
    assert bool(told) == bool(reason)
