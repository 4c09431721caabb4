"""The bound on the time of a photograph; `pytest tests/rendering/test_speed.py -s` prints it."""

import time
from statistics import median

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fundus_uda.rendering.scene import Scene, render

PHOTOGRAPHS = 9


def seconds(work):
    start = time.thread_time()
    work()
    return time.thread_time() - start


@pytest.mark.slow
def test_a_photograph_costs_no_more_than_eighty_blurred_planes():
    """Of the same size: the median of a fixed number of ratios of CPU seconds, in turn.

    On a core that blurs such a plane in 0.6 ms, that is 20 photographs a second and more.
    """
    plane = np.random.default_rng(0).random((256, 256), np.float32)

    def blur():
        for _ in range(8):
            gaussian_filter(plane, 2.0)

    render(Scene(), 0, 0)
    blur()
    pairs = [
        (seconds(lambda i=i: render(Scene(), 0, i)), seconds(blur)) for i in range(PHOTOGRAPHS)
    ]
    print(f"{1000 * median(rendering for rendering, _ in pairs):.0f} ms a photograph")
    assert median(rendering / blurring for rendering, blurring in pairs) < 10
