from xml.etree import ElementTree

import pytest

from fundus_uda.clinic.report.charts import bland_altman, dots_by_rank, histogram


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
