"""The benchmarks measure what they say, on the smallest work."""

import torch

from fundus_uda.affinity import affinity_map, affinity_space
from tests.benchmarks.core import by_normalize, growth, per_pair, prediction, rows
from tests.benchmarks.measure import Row, as_markdown, compare

SHAPE = (1, 3, 8, 8)


def test_the_other_formulations_compute_the_same():
    prob = prediction(SHAPE)
    torch.testing.assert_close(per_pair(prob), affinity_space(prob), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(by_normalize(prob), affinity_map(prob))


def test_a_ratio_is_that_of_the_work():
    def work(times):
        return lambda: [sum(range(20_000)) for _ in range(times)]

    assert 2 < compare("ten", work(10), "two", work(2)).ratio < 12


def test_every_row_of_the_core_has_a_time_and_a_ratio():
    measured = [*rows((SHAPE,), pairs=1), *growth(SHAPE, pairs=1)]
    assert len(measured) == 11
    assert all(row.seconds > 0 and row.ratio > 0 for row in measured)


def test_the_table_is_markdown():
    *_, line = as_markdown([Row("this", 0.5, 2, "that")])
    assert line == "| this | 0.5000 | 2.00 | that |"
