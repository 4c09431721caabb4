"""Arteries and veins: trees that leave the cup, bend at its edge and arc around the macula.

Coordinates are those of `rendering.anatomy`. All vessels of one order of branching grow at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fundus_uda.rendering.anatomy import ANGLES, Outline
from fundus_uda.rendering.background import planes
from fundus_uda.rendering.noise import FloatImage
from fundus_uda.rendering.view import View

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

ARTERY_WIDTH, VEIN_WIDTH = (0.075, 0.115), (0.105, 0.16)
"""Widths in millimetres of the largest vessels at the disc. Six of each that merge by the formulas
of Knudtson et al. (Curr. Eye Res. 2003) give the usual equivalents of 0.15 and 0.23 mm."""
SHARES = (0.35, 0.75)
"""Width of a branch over that of its parent, of which Murray's law (J. Gen. Physiol. 1926) leaves
the cube root of 1 - share ** 3."""
STEPS = 44
"""Number of points of a vessel."""

FINER = 4
"""Pixels of the canvas on which vessels are drawn, along one of the photograph, at most."""
CANVAS = 1024
"""Side of that canvas in pixels, above which it is no finer than the photograph."""
RISING = 4
"""Number of steps in which a vessel comes into sight out of the depth of the cup."""
ROUND = 2.0
"""Half the width, in pixels of the canvas, of the thinnest vessel that is drawn as round."""
FLAT = ((0.9, 0.8),)
"""Profile of a thinner one, as of `PROFILE`."""
PROFILE = ((1.0, 0.4), (0.82, 0.72), (0.55, 1.0))
"""Parts of a vessel's width, and how much of its blood the light crosses there."""

VEIN = np.array([1.3, 2.6, 2.3], np.float32)
"""Density of a vein (see `rendering.background`)."""
ARTERY = np.array([0.8, 2.0, 1.8], np.float32)
"""Density of an artery."""
VEIN_FRONT = np.array([0.11, 0.014, 0.016], np.float32)
"""Light that the blood of a vein scatters back, over that of the sclera."""
ARTERY_FRONT = np.array([0.24, 0.05, 0.05], np.float32)
"""The same of an artery, whose blood holds more oxygen."""


@dataclass(frozen=True)
class Course:
    """How vessels that grow together start and where they go, n of them."""

    start: Array
    """First points (n, 2)."""
    heading: Array
    """First directions in radians."""
    outward: Array
    """Directions far from the disc, of those that do not go around the macula."""
    width: Array
    """First widths in millimetres."""
    spread: Array
    """Angles by which they turn away from the course around the macula."""
    temporal: Bools
    """Whether they go around the macula."""
    artery: Bools


@dataclass(frozen=True)
class Vessels:
    """Vessels that have grown together, n of them at `STEPS` points."""

    course: Course
    points: Array
    """(STEPS, n, 2)."""
    widths: Array
    """(STEPS, n), in millimetres."""
    headings: Array
    """(STEPS, n), in radians."""


@dataclass(frozen=True)
class Growth:
    """What all vessels of an eye have in common. Lengths are in millimetres."""

    fovea: tuple[float, float]
    cup: Outline
    trunk: tuple[float, float]
    """Place at which the central vessels appear."""
    kink: float
    """Largest bend at the edge of the cup in radians."""
    kink_length: float
    """Length of the way until a vessel has turned back."""
    tortuosity: float
    """Standard deviation of the curvature, in radians per millimetre."""
    arcade: float
    """Radius of the arcades around the fovea."""
    reach: float
    """Length of the vessels."""


def grow_trees(
    rng: np.random.Generator, cup: Outline, wall: NDArray[np.float32],
    fovea: tuple[float, float], view: View,
) -> tuple[list[Vessels], Array]:  # fmt: skip
    """Grow the vessels of an eye: main ones, their branches and the branches of these.

    Args:
        rng: generator.
        cup: outline of the cup.
        wall: width of its wall (see `anatomy.cup_depth`): vessels bend more at a steep one.
        fovea: place of the fovea.
        view: view, up to whose border vessels grow.

    Returns:
        Vessels by order of branching, the main ones first; and by how much the floor of the cup
        lies aside (2,), in millimetres, as the camera looks at it from an angle.
    """
    radius = float(cup.radii.mean())
    steep = float(np.clip(0.6 - wall.mean(), 0, 0.5)) * 2
    growth = Growth(
        fovea=fovea,
        cup=cup,
        trunk=(cup.x - radius * rng.uniform(-0.1, 0.75), cup.y + radius * rng.normal(0, 0.12)),
        kink=rng.uniform(0.2, 0.7) + 0.8 * steep,
        kink_length=rng.uniform(0.04, 0.16),
        tortuosity=rng.uniform(0.4, 2.8),
        arcade=rng.uniform(2.6, 3.8),
        reach=view.side * 0.75 + float(np.hypot(*view.centre)) + 0.5,
    )
    often = min(1.0, growth.reach / 6)  # few branches are near the disc
    main = _grow(rng, growth, _main_course(rng, growth))
    main, course = _branch(rng, main, 1.1 + 1.3 * often)
    branches, further = _branch(rng, _grow(rng, growth, course), 0.4 + 1.2 * often)
    shift = radius * rng.uniform(0, 0.25) * np.array([-1, rng.normal(0, 0.4)])
    return [main, branches, _grow(rng, growth, further)], shift


def _main_course(rng: np.random.Generator, growth: Growth) -> Course:
    """Draw the vessels that leave the disc.

    Up and down go arteries and veins to the temporal side and the nasal side, arteries nasally of
    veins; small ones go straight to both sides, some of them out of the wall of the cup.
    """
    rows: list[tuple[float, float, float, float, float, float, bool, bool]] = []
    size = rng.uniform(0.85, 1.2)
    for down in (-1, 1):
        for artery in (False, True):
            width = size * rng.uniform(*(ARTERY_WIDTH if artery else VEIN_WIDTH))
            courses = [(True, 1.0)]
            if rng.random() < 0.35:
                courses.append((True, 0.7))
            if rng.random() < 0.8:
                courses.append((False, rng.uniform(0.5, 0.85)))
            for temporal, share in courses:
                x = growth.trunk[0] + rng.normal(-0.05 if artery else 0.05, 0.07)
                y = growth.trunk[1] + down * rng.uniform(0, 0.2)
                angle = rng.normal(1.67, 0.3) if temporal else rng.uniform(1.7, 2.5)
                spread = rng.normal(0, 0.25)
                heading = down * angle
                rows.append((x, y, heading, heading + 0.3 * spread, share * width, spread,
                             temporal, artery))  # fmt: skip
    for nasal in (False, True):
        for _ in range(rng.integers(2, 5 if nasal else 7)):
            angle = rng.uniform(-1.0, 1.0) + np.pi * nasal
            x, y = rng.normal(growth.trunk, (0.05, 0.12))
            if not nasal and rng.random() < 0.5:
                share = rng.uniform(0.4, 1.0)
                edge = growth.cup.points()[int(angle / (2 * np.pi) * ANGLES) % ANGLES]
                x, y = edge * share + np.array([growth.cup.x, growth.cup.y]) * (1 - share)
            width = size * (rng.uniform(0.03, 0.075) if nasal else rng.uniform(0.022, 0.055))
            heading = angle + rng.normal(0, 0.3)
            outward = heading + rng.normal(0, 0.12)
            rows.append((x, y, heading, outward, width, 0.0, False, bool(rng.random() < 0.5)))
    table = np.array(rows, np.float64)
    heading, outward, width, spread = table[:, 2:6].T
    return Course(table[:, :2], heading, outward, width, spread, table[:, 6] > 0, table[:, 7] > 0)


def _branch(
    rng: np.random.Generator, parents: Vessels, per_vessel: float
) -> tuple[Vessels, Course]:
    """Draw branches of vessels; return the parents, thinner behind these, and the branches."""
    count = parents.widths.shape[1]
    number = max(1, rng.poisson(per_vessel * count))
    parent = rng.integers(0, count, number)
    at = rng.integers(STEPS // 6, STEPS * 9 // 10, number)
    turn = rng.choice([-1.0, 1.0], number) * rng.uniform(0.35, 1.1, number)
    share = rng.uniform(*SHARES, number)
    widths, width = parents.widths.copy(), np.empty(number)
    for branch in np.argsort(at):
        width[branch] = widths[at[branch], parent[branch]] * share[branch]
        widths[at[branch] :, parent[branch]] *= (1 - share[branch] ** 3) ** (1 / 3)
    heading = parents.headings[at, parent] + turn
    course = Course(
        start=parents.points[at, parent],
        heading=heading,
        outward=heading,
        width=width,
        spread=parents.course.spread[parent] + turn * rng.uniform(0.5, 1.2, number),
        temporal=parents.course.temporal[parent],
        artery=parents.course.artery[parent],
    )
    return Vessels(parents.course, parents.points, widths, parents.headings), course


def _grow(rng: np.random.Generator, growth: Growth, course: Course) -> Vessels:
    """Let vessels grow step by step: they wander, follow their course, bend at the cup's edge."""
    count = len(course.width)
    length = np.geomspace(1, max(1.0001, growth.reach / 1.6), STEPS)  # short ones in the cup
    length *= growth.reach * 1.15 / length.sum()
    sense = np.where(np.sin(course.heading) < 0, 1.0, -1.0)  # over the fovea, or below it
    kink = rng.uniform(-1, 1, count) * growth.kink
    wander = rng.standard_normal((STEPS, count)) * growth.tortuosity
    wander *= (0.08 / course.width).clip(0.6, 2)
    point, heading = course.start, course.heading
    curvature, bend = np.zeros(count), np.zeros(count)
    inside = _level(growth.cup, point) < 1
    points, headings = np.empty((STEPS, count, 2)), np.empty((STEPS, count))
    for step, way in enumerate(length):
        points[step], headings[step] = point, heading + bend
        towards = point - np.array(growth.fovea)
        distance = np.hypot(towards[:, 0], towards[:, 1])
        around = np.arctan2(towards[:, 1], towards[:, 0]) + sense * np.pi / 2
        around += sense * np.clip(0.5 * (distance - growth.arcade), -0.7, 0.9)
        goal = np.where(course.temporal, around + course.spread, course.outward)
        turn = (goal - heading + np.pi) % (2 * np.pi) - np.pi
        curvature += (1 - np.exp(-way / 0.25)) * (wander[step] - curvature)
        heading = heading + (1 - np.exp(-way / 0.9)) * turn + curvature * way
        bend = bend * np.exp(-way / growth.kink_length)
        direction = np.stack([np.cos(heading + bend), np.sin(heading + bend)], axis=1)
        point = point + way * direction
        if inside.any():
            was, inside = inside, inside & (_level(growth.cup, point) < 1)
            bend = bend + np.where(was & ~inside, kink, 0)
    taper = np.linspace(1, 0.75, STEPS) * np.minimum(1, np.linspace(5, 0.1, STEPS))
    widths = course.width * taper[:, None]
    return Vessels(course, points, widths, headings)


def _level(outline: Outline, points: Array) -> FloatImage:
    flat = points.astype(np.float32)
    return outline.level(flat[:, 0], flat[:, 1])


Drawn = tuple[FloatImage, FloatImage, FloatImage]
"""Blood that the light crosses in veins and in arteries, and reflex, each (H, W) in [0, 1]."""


def draw_vessels(trees: list[Vessels], view: View, shift: Array, depth: FloatImage) -> Drawn:
    """Draw how much blood the light crosses, and the reflex along the middle of vessels.

    The reflex is a third as wide as the vessel, and stronger in arteries (Brinchmann-Hansen and
    Engvold, Acta Ophthalmol. 1986).

    Args:
        trees: from `grow_trees`.
        view: view of the camera.
        shift: from `grow_trees`.
        depth: depth (size, size) of the cup in [0, 1].
    """
    scale = min(max(1, CANVAS // view.size), FINER)
    side = view.size * scale
    canvases = [Image.new("L", (side, side)) for _ in range(3)]
    veins, arteries, reflexes = map(ImageDraw.Draw, canvases)
    for order, vessels in reversed(list(enumerate(trees))):
        artery = vessels.course.artery
        middles = view.to_pixels(_seen_from_aside(vessels.points, view, shift, depth), scale)
        along = np.gradient(middles, axis=0)
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-9
        widths = vessels.widths.copy()
        if order == 0:
            widths[:RISING] *= np.linspace(0.6, 1, RISING)[:, None]
        halves = across * (widths / view.pixel * scale / 2)[..., None]
        near = np.abs(middles - side / 2).max(axis=-1) < side / 2 + 40
        for number in np.argsort(vessels.course.width):
            seen = np.flatnonzero(near[:, number])
            if len(seen) < 2:
                continue
            part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
            middle, half = middles[part, number], halves[part, number]
            pen = arteries if artery[number] else veins
            blood = min(1.0, (float(widths[part, number].mean()) / 0.11) ** 0.6)
            rising = min(RISING, len(middle) - 2) if order == 0 and not seen[0] else 0
            for step in range(rising):
                piece = slice(step, step + 2)
                _ribbon(pen, middle[piece], half[piece] * 0.9, 0.8 * blood * (step + 1) / rising)
            thick = float(np.abs(half).max()) > ROUND
            for share, level in PROFILE if thick else FLAT:
                _ribbon(pen, middle[rising:], half[rising:] * share, blood * level)
            if artery[number] or number % 2:
                _ribbon(reflexes, middle, half * 0.3, 1.0 if artery[number] else 0.5)
    drawn = [np.asarray(canvas.reduce(scale), np.float32) / np.float32(255) for canvas in canvases]
    return drawn[0], drawn[1], drawn[2]


def _ribbon(pen: ImageDraw.ImageDraw, middle: Array, half: Array, level: float) -> None:
    """Draw a ribbon; one narrower than a pixel is drawn a pixel wide, and paler for it."""
    narrow = min(1.0, 2 * float(np.hypot(half[:, 0], half[:, 1]).mean()))
    edge = np.concatenate([middle + half, (middle - half)[::-1]])
    pen.polygon(edge.ravel().tolist(), fill=int(255 * level * narrow))


def _seen_from_aside(points: Array, view: View, shift: Array, depth: FloatImage) -> Array:
    """Move vessels as the depth of the cup under them moves them in the photograph."""
    index = view.to_pixels(points).round().astype(int)
    inside = ((index >= 0) & (index < view.size)).all(axis=-1)
    index = index.clip(0, view.size - 1)
    below = depth[index[..., 1], index[..., 0]] * inside
    moved: Array = points + below[..., None] * shift
    return moved


def with_vessels(rng: np.random.Generator, light: FloatImage, drawn: Drawn) -> FloatImage:
    """Let light (3, H, W) from the eye cross the blood of vessels."""
    veins, arteries, reflex = drawn
    density = planes(VEIN, veins * (1 - 0.8 * arteries) * np.float32(rng.uniform(0.6, 1.2)))
    density = density + planes(ARTERY, arteries * np.float32(rng.uniform(0.6, 1.2)))
    through = np.exp(-density)
    # A vessel is never darker than the blood in front, which scatters red light back.
    bright = np.float32(rng.uniform(0.5, 1.3))
    front = planes(VEIN_FRONT * bright, 1 - arteries) + planes(ARTERY_FRONT * bright, arteries)
    front = front * (1 + np.float32(rng.uniform(0.3, 2.0)) * reflex)
    seen: FloatImage = light * through + front * (1 - through)
    return seen
