"""Small charts as inline SVG, in the page's own colours."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 10, 34


class _Axes:
    """Axes of a chart, from data to the picture, with a grid, ticks and labels."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: tuple[str, str],
        whole: tuple[bool, bool] = (False, False),
    ) -> None:
        self.x, self.y = x, y
        self.parts: list[str] = []
        for at, text in ticks(*y, whole=whole[1]):
            height = self.at_y(at)
            self.parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" '
                f'y2="{height:.1f}"/>'
                f'<text class="y" x="{LEFT - 5}" y="{height + 3.5:.1f}" text-anchor="end">{text}'
                "</text>"
            )
        for at, text in ticks(*x, whole=whole[0]):
            self.parts.append(
                f'<text class="x" x="{self.at_x(at):.1f}" y="{HEIGHT - BOTTOM + 14}" '
                f'text-anchor="middle">{text}</text>'
            )
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.parts.append(
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">'
            f"{escape(labels[0])}</text>"
            f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">'
            f"{escape(labels[1])}</text>"
        )

    def at_x(self, value: float) -> float:
        share = (value - self.x[0]) / (self.x[1] - self.x[0])
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def at_y(self, value: float) -> float:
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def dot(self, x: float, y: float, kind: str, title: str) -> None:
        self.parts.append(
            f'<circle class="{kind}" cx="{self.at_x(x):.1f}" cy="{self.at_y(y):.1f}" r="3">'
            f"<title>{escape(title)}</title></circle>"
        )

    def level(self, y: float, kind: str) -> None:
        at = self.at_y(y)
        self.parts.append(
            f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )

    def svg(self, description: str) -> Markup:
        return Markup(
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(description)}">{"".join(self.parts)}</svg>'
        )


def histogram(after: Sequence[float], before: Sequence[float] | None, label: str) -> Markup:
    """Draw a histogram of photographs by value, from 0 to 1 in ten bins; hollow bars are before."""
    counts = {"after": _counts(after)}
    if before is not None:
        counts["before"] = _counts(before)
    most = max(4, *(max(count) for count in counts.values()))
    axes = _Axes((0, 1), (0, most), (label, "photographs"), whole=(False, True))
    for kind, count in counts.items():
        for index, number in enumerate(count):
            left, right = axes.at_x(index / 10) + 1.5, axes.at_x((index + 1) / 10) - 1.5
            top = axes.at_y(number)
            if number:
                axes.parts.append(
                    f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" '
                    f'width="{right - left:.1f}" height="{axes.at_y(0) - top:.1f}"><title>{kind}: '
                    f"{number} from {index / 10:.1f} to {(index + 1) / 10:.1f}</title></rect>"
                )
    return axes.svg(f"Histogram: {label}")


def dots_by_rank(
    names: Sequence[str], after: Sequence[float], before: Sequence[float] | None, label: str
) -> Markup:
    """Draw one dot per photograph, from the lowest to the highest; hollow dots are before."""
    ranks = (1, max(2, len(after)))
    axes = _Axes(ranks, (0, 1), ("photographs, lowest first", label), whole=(True, False))
    for rank, index in enumerate(sorted(range(len(after)), key=lambda i: after[i]), 1):
        if before is not None and before[index] == before[index]:
            title = f"{names[index]}: {before[index]:.3f} before"
            axes.dot(rank, before[index], "before", title)
        axes.dot(rank, after[index], "after", f"{names[index]}: {after[index]:.3f}")
    return axes.svg(f"{label} of each photograph")


def bland_altman(
    names: Sequence[str],
    predicted: Sequence[float],
    reference: Sequence[float],
    bias: float,
    limits: Iterable[float],
) -> Markup:
    """Draw the difference of predicted and reference ratios over their mean.

    Args:
        names: names of the photographs, shown with their dots.
        predicted: predicted ratio of each photograph.
        reference: reference ratio of each photograph.
        bias: mean difference, drawn as a line.
        limits: limits of agreement, drawn as lines.
    """
    limits = list(limits)
    differences = [p - r for p, r in zip(predicted, reference, strict=True)]
    reach = max(0.1, *(abs(value) for value in (*differences, *limits)))
    axes = _Axes((0, 1), (-1.05 * reach, 1.05 * reach), ("mean of both", "predicted - reference"))
    axes.level(0, "zero")
    axes.level(bias, "bias")
    for limit in limits:
        axes.level(limit, "limit")
    for name, p, r in zip(names, predicted, reference, strict=True):
        axes.dot((p + r) / 2, p - r, "after", f"{name}: {p:.2f}, reference {r:.2f}")
    return axes.svg("Bland-Altman chart of the vertical cup-to-disc ratio")


def _counts(values: Sequence[float]) -> list[int]:
    counts = [0] * 10
    for value in values:
        counts[min(9, max(0, int(value * 10)))] += 1
    return counts


def ticks(first: float, last: float, whole: bool = False) -> list[tuple[float, str]]:
    """Place ticks at round numbers from `first` to `last`, with their labels.

    Args:
        first: lower end of the axis.
        last: upper end of the axis.
        whole: whether all ticks are whole numbers.
    """
    locator = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=whole)
    margin = 1e-9 * (last - first)
    values = locator.tick_values(first, last)
    places = [float(v) for v in values if first - margin <= v <= last + margin]
    digits = max(len(f"{place:.6f}".rstrip("0").partition(".")[2]) for place in places)
    return [(place, f"{place + 0.0:.{digits}f}") for place in places]


def rim_clock(ratios: Sequence[float], laterality: str) -> Markup:
    """Draw the rim around the clock as a ring, as wide as its share of the disc's radius.

    Args:
        ratios: rim over disc diameter at the hours 1 to 12; 0.5 is a rim up to the centre.
        laterality: "R" or "L", which says where nasal and temporal are.
    """
    right, left = ("N", "T") if laterality == "R" else ("T", "N")
    parts = ['<circle class="disc" r="40"/>']
    for hour, ratio in enumerate(ratios, 1):
        inner = 40 * (1 - 2 * min(max(ratio, 0.0), 0.5))
        edges = [math.radians(30 * hour + side) for side in (-15, 15)]
        outside, inside = (
            [(radius * math.sin(angle), -radius * math.cos(angle)) for angle in edges]
            for radius in (40.0, inner)
        )
        path = (
            f"M{outside[0][0]:.1f} {outside[0][1]:.1f}A40 40 0 0 1 {outside[1][0]:.1f} "
            f"{outside[1][1]:.1f}L{inside[1][0]:.1f} {inside[1][1]:.1f}A{inner:.1f} {inner:.1f} "
            f"0 0 0 {inside[0][0]:.1f} {inside[0][1]:.1f}Z"
        )
        title = f"<title>{hour} o'clock: rim {ratio:.2f} of the diameter</title>"
        parts.append(f'<path class="rim" d="{path}">{title}</path>')
    for letter, x, y in (("S", 0, -44), ("I", 0, 53), (right, 50, 4), (left, -50, 4)):
        parts.append(f'<text x="{x}" y="{y}" text-anchor="middle">{letter}</text>')
    said = ", ".join(f"{hour}: {ratio:.2f}" for hour, ratio in enumerate(ratios, 1))
    return Markup(
        f'<svg class="clock" viewBox="-60 -56 120 112" role="img" aria-label="Rim over disc '
        f'diameter by clock hour: {said}">{"".join(parts)}</svg>'
    )
