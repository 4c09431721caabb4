"""A rendered photograph: an eye, a view and an exposure, drawn and put together.

Every part draws from a generator of its own, so that leaving one out changes no other.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fundus_uda.engine.randomness import derive_seed
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Mask, Photograph, disc_and_cup_to_classes
from fundus_uda.rendering.anatomy import WIDEST_CUP, cup_depth, draw_disc_and_cup, draw_fovea
from fundus_uda.rendering.background import (
    add_atrophy,
    bundles,
    draw_atrophy,
    draw_background,
    fibre_streaks,
    retina,
    with_fibres,
)
from fundus_uda.rendering.camera import develop, draw_camera, expose
from fundus_uda.rendering.lesions import add_lesions
from fundus_uda.rendering.surface import disc_surface
from fundus_uda.rendering.vessels import draw_vessels, grow_trees, with_vessels
from fundus_uda.rendering.view import draw_view

Part = Literal["vessels", "texture", "atrophy", "lesions", "camera"]
"""Part of the variety that can be left out: vessels; unevenness of pigment, choroid, fibres and
rim; atrophy beside the disc; distractors; and what sets a camera apart from a perfect one."""

SMALLEST, LARGEST = 64, 2048
"""Sides of a photograph in pixels."""
NARROWEST_CUP = 0.1
"""Least vertical cup-to-disc ratio."""


@dataclass(frozen=True)
class Scene:
    """Kind of photographs that are rendered.

    Raises:
        InputError: an impossible size or range, or an unknown part.
    """

    size: int = 256
    """Side of the photograph in pixels."""
    whole: bool = False
    """Whether it is a whole field with the macula, and no crop around the disc."""
    ratio: tuple[float, float] = (NARROWEST_CUP, 0.95)
    """Range of the vertical cup-to-disc ratio. Photographs for training must show the ratios that a
    target shows, whichever these are: in healthy eyes 0 to 0.87 (Jonas et al., Invest. Ophthalmol.
    Vis. Sci. 1988), and more with glaucoma."""
    without: frozenset[Part] = frozenset()
    """Parts that are left out."""

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise InputError(
                f"Expected a side of {SMALLEST} to {LARGEST} pixels. Got: {self.size}."
            )
        low, high = self.ratio
        if not NARROWEST_CUP <= low <= high <= WIDEST_CUP:
            raise InputError(
                f"Expected cup-to-disc ratios between {NARROWEST_CUP} and {WIDEST_CUP}, the lower "
                f"one first. Got: {low}:{high}."
            )
        if unknown := self.without - set(get_args(Part)):
            raise InputError(
                f"Expected parts to leave out of {', '.join(get_args(Part))}. "
                f"Got: {', '.join(sorted(unknown))}."
            )


@dataclass(frozen=True)
class Rendered:
    """A rendered photograph and its mask."""

    jpeg: bytes
    """File of the photograph, as a camera writes it."""
    mask: Mask
    """Classes (size, size), exact: of the outlines that were drawn."""

    @property
    def photograph(self) -> Photograph:
        """Pixels (size, size, 3)."""
        return develop(self.jpeg)


def render(scene: Scene, seed: int, index: int) -> Rendered:
    """Render one photograph, a function of the arguments.

    Args:
        scene: kind of photograph.
        seed: seed of a set of photographs.
        index: number in the set.
    """

    def rng(part: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed("rendered", seed, index, part))

    textured = "texture" not in scene.without
    disc, cup, wall = draw_disc_and_cup(rng("anatomy"), scene.ratio)
    fovea = draw_fovea(rng("fovea"))
    view = draw_view(rng("view"), scene.size, disc, fovea, scene.whole)
    x, y = view.grid()
    level, turn = disc.polar(x, y)
    cup_level, cup_turn = cup.polar(x, y)
    mask, _ = disc_and_cup_to_classes(level < 1, cup_level < 1)

    depth = cup_depth(cup_level, cup_turn, wall)
    inside, surface = disc_surface(rng("surface"), cup, level, turn, depth, (x, y), textured)
    dark = float((surface[0] * inside).sum() / inside.sum())  # of the disc, to red light
    look = draw_background(rng("background"), dark, textured)
    density = retina(rng("retina"), look, x, y, view.side, fovea)
    streaks = fibre_streaks(rng("fibres"), level, turn)
    if "atrophy" not in scene.without and (zone := draw_atrophy(rng("atrophy"))):
        density = add_atrophy(rng("zones"), density, zone, level, turn)
    if "lesions" not in scene.without:
        density = add_lesions(rng("lesions"), density, level, turn, streaks, view.pixel)
    light = np.exp(-(density + inside * (surface - density)))
    if "vessels" not in scene.without:
        trees, shift = grow_trees(rng("vessels"), cup, wall, fovea, view)
        light = with_vessels(rng("blood"), light, draw_vessels(trees, view, shift, depth))
    light = with_fibres(light, look, bundles(turn, level - 1), streaks, inside)
    camera = draw_camera(rng("camera"), view, light, inside, scene.whole)
    if "camera" in scene.without:
        camera = camera.perfect()
    return Rendered(expose(rng("exposure"), light, camera), mask)
