from xml.etree import ElementTree

import pytest

from fundus_uda.clinic.report.charts import bland_altman, dots_by_rank, histogram, rim_clock, ticks


def parts(chart, tag, kind):
    return [part for part in ElementTree.fromstring(str(chart)).iter(tag)
            if part.get("class") == kind]  # fmt: skip


def test_bars_are_as_high_as_their_counts():
    chart = histogram([0.05, 0.55, 0.55, 1.0], [0.55], "ratio")
    bars = parts(chart, "rect", "after")
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    titles = [bar.find("title").text for bar in bars]
    assert titles == ["after: 1 from 0.0 to 0.1", "after: 2 from 0.5 to 0.6",
                      "after: 1 from 0.9 to 1.0"]  # fmt: skip
    assert len(parts(chart, "rect", "before")) == 1


def test_dots_rise_with_the_rank_and_name_their_photograph():
    chart = dots_by_rank(["a", "<b>"], [0.9, 0.4], [0.5, float("nan")], "Dice")
    dots = parts(chart, "circle", "after")
    assert [dot.find("title").text for dot in dots] == ["<b>: 0.400", "a: 0.900"]
    assert float(dots[0].get("cx")) < float(dots[1].get("cx"))
    assert float(dots[0].get("cy")) > float(dots[1].get("cy"))  # downwards
    assert len(parts(chart, "circle", "before")) == 1


def test_bias_and_limits_are_lines_among_the_dots():
    chart = bland_altman(["a", "b"], [0.6, 0.8], [0.5, 0.5], 0.2, (-0.1, 0.5))
    (bias,) = parts(chart, "line", "bias")
    low, high = (float(line.get("y1")) for line in parts(chart, "line", "limit"))
    first, second = (float(dot.get("cy")) for dot in parts(chart, "circle", "after"))
    assert high < second < float(bias.get("y1")) < first < low
    assert float(bias.get("y1")) == pytest.approx((low + high) / 2, abs=0.2)


def test_one_photograph_and_none_are_charts_too():
    assert parts(dots_by_rank(["a"], [0.5], None, "Dice"), "circle", "after")
    assert not parts(histogram([], None, "ratio"), "rect", "after")


def labels(chart, axis):
    return [part.text for part in parts(chart, "text", axis)]


@pytest.mark.parametrize(
    ("span", "whole", "texts"),
    [
        ((1, 6), True, ["1", "2", "3", "4", "5", "6"]),
        ((1, 2), True, ["1", "2"]),
        ((-0.43, 0.43), False, ["-0.4", "-0.2", "0.0", "0.2", "0.4"]),
        ((-0.105, 0.105), False, ["-0.10", "-0.05", "0.00", "0.05", "0.10"]),
    ],
)
def test_ticks_are_where_their_labels_say(span, whole, texts):
    found = ticks(*span, whole=whole)
    assert [text for _, text in found] == texts
    assert [place for place, _ in found] == pytest.approx([float(text) for text in texts])


def test_ranks_and_counts_are_whole_numbers():
    chart = dots_by_rank(list("abcdef"), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], None, "Dice")
    assert labels(chart, "x") == ["1", "2", "3", "4", "5", "6"]
    dots = [float(dot.get("cx")) for dot in parts(chart, "circle", "after")]
    assert [float(part.get("x")) for part in parts(chart, "text", "x")] == pytest.approx(dots)
    assert labels(histogram([0.5] * 7, None, "ratio"), "y") == ["0", "2", "4", "6"]


@pytest.mark.parametrize(("eye", "right"), [("R", "N"), ("L", "T")])
def test_the_rim_is_a_ring_around_the_clock(eye, right):
    chart = rim_clock([0.25] * 11 + [0.0], eye)
    sectors = parts(chart, "path", "rim")
    assert sectors[0].find("title").text == "1 o'clock: rim 0.25 of the diameter"
    assert "A20.0 20.0" in sectors[0].get("d")
    assert "A40.0 40.0" in sectors[11].get("d")  # no rim: the cup reaches the edge
    letters = {part.text: float(part.get("x")) for part in ElementTree.fromstring(chart)
               if part.tag == "text"}  # fmt: skip
    assert letters[right] > 0
    assert set(letters) == {"S", "I", "N", "T"}
