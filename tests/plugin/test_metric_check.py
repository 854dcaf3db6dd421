import math

import numpy as np
import pytest

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Metric
from mmsr_core.plugin.testing import check_metric


def shaved(image, border):
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def distance(sr, hr, border):
    return float(np.abs(shaved(sr, border) - shaved(hr, border)).mean())


def roughness(sr, hr, border):
    return float(np.abs(np.diff(shaved(sr, border), axis=0)).mean())


def metric(function=distance, **changes):
    facts = {"name": "odd", "summary": "", "better": "lower", "open": lambda: function}
    return Metric(**facts | changes)


def spoils(sr, hr, border):
    value = distance(sr, hr, border)
    sr[0, 0] += 1
    return value


def refuses_small(sr, hr, border):
    if len(sr) < 32:
        raise ValueError("too small")
    return distance(sr, hr, border)


def absent():
    raise PluginError("odd needs its weights: fetch them")


class Moody:
    """Another value every time."""

    def __init__(self):
        self.asked = 0

    def __call__(self, sr, hr, border):
        self.asked += 1
        return distance(sr, hr, border) + self.asked


def test_a_sound_metric_passes():
    check_metric(metric())


def test_a_sound_metric_without_a_reference_passes():
    check_metric(metric(roughness, reference=False))


def test_nan_is_fine_for_a_small_image():
    check_metric(metric(lambda *a: math.nan if len(a[0]) < 32 else distance(*a)))


def test_infinity_is_fine():
    check_metric(metric(lambda *a: 1 / distance(*a) if distance(*a) else math.inf, better="higher"))


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (metric(better="up"), "better, one of higher, lower"),
        (metric(better="higher"), '"higher" for what is better'),
        (metric(key="not a key"), "a key of letters"),
        (metric(lambda *a: math.nan), "a float; seen: nan"),
        (metric(lambda *a: "0.5"), "a float; seen: '0.5'"),
        (metric(lambda sr, hr, border: distance(sr, hr, 0)), "not to look at the border"),
        (metric(Moody()), "the same value twice"),
        (metric(spoils), "to leave the images as they were"),
        (metric(refuses_small), "nan for an image too small for it; seen: ValueError: too small"),
        (metric(lambda *a: 1.0), '"lower" for what is better'),
        (
            metric(lambda sr, hr, b: roughness(sr, hr, b) + (hr is None), reference=False),
            "the same value without a reference",
        ),
    ],
)
def test_a_broken_promise_is_named(broken, promised):
    with pytest.raises(PluginError) as told:
        check_metric(broken)
    assert promised in str(told.value)
    assert str(told.value).startswith("metric odd: promised ")


def test_what_open_raises_comes_through():
    with pytest.raises(PluginError, match="odd needs its weights"):
        check_metric(metric(open=absent))
