import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.measure.codecs.curve import bd_rate, decibels

CURVE = [(0.1, 25.0), (0.3, 29.0), (0.6, 32.0), (1.2, 36.0), (2.0, 39.5)]


@given(share=st.floats(0.2, 5))
def test_a_curve_at_a_share_of_the_rate_is_that_share_apart(share):
    moved = [(rate * share, quality) for rate, quality in CURVE]
    assert bd_rate(CURVE, moved) == pytest.approx(share - 1, abs=1e-9)


def test_on_a_line_in_the_logarithm_the_sampling_does_not_matter():
    def line(qualities, factor):
        return [(factor * 2 ** (quality / 3), quality) for quality in qualities]

    one, other = line((20, 25, 31, 40), 1.0), line((18, 22, 27, 30, 38), 0.9)
    assert bd_rate(one, other) == pytest.approx(-0.1, abs=1e-6)


def test_a_point_that_costs_more_than_a_better_one_does_not_count():
    assert bd_rate(CURVE, [*CURVE, (1.9, 30.0)]) == pytest.approx(0, abs=1e-12)


def test_curves_without_a_common_quality_are_not_compared():
    assert math.isnan(bd_rate(CURVE, [(0.1, 50.0), (0.2, 55.0)]))


def test_one_point_is_no_curve():
    assert math.isnan(bd_rate(CURVE, CURVE[:1]))


def test_decibels_spread_what_is_near_one():
    assert decibels(0.9) == pytest.approx(10)
    assert decibels(0.99) == pytest.approx(20)
    assert math.isfinite(decibels(1.0))
