"""Sizes that are asked for, and the passes that reach them."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmsr_core.errors import ImageError
from mmsr_core.runtime.sizes import ENOUGH, REST, Size, passes

sides = st.integers(1, 20_000)
factors = st.floats(1, 16)


@given(sides, sides, factors)
def test_a_factor_gives_the_nearest_whole_pixels(height, width, factor):
    found = Size(factor=factor).of(height, width)
    for side, was in zip(found, (height, width), strict=True):
        assert abs(side - was * factor) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("factor", "side", "expected"),
    [(1.5, 1, 2), (1.5, 3, 5), (2.5, 3, 8), (1.1, 10, 11), (3, 1, 3)],
)
def test_halves_are_rounded_up(factor, side, expected):
    assert Size(factor=factor).of(side, side) == (expected, expected)


@given(sides, sides, factors)
def test_a_width_that_was_asked_for_is_exact(height, width, factor):
    asked = math.ceil(width * factor)
    high, wide = Size(width=asked).of(height, width)
    assert wide == asked
    assert abs(high - height * asked / width) <= 0.5 + 1e-6


@given(sides, sides, factors, factors)
def test_width_and_height_are_fitted_into(height, width, tall, broad):
    box = math.ceil(height * tall), math.ceil(width * broad)
    found = Size(height=box[0], width=box[1]).of(height, width)
    assert found[0] <= box[0]
    assert found[1] <= box[1]
    assert found[0] == box[0] or found[1] == box[1]


@given(st.integers(100, 9000), st.integers(100, 9000), factors)
def test_megapixels_are_met_to_the_rounding_of_the_sides(height, width, factor):
    asked = height * width * factor / 1e6
    high, wide = Size(megapixels=asked).of(height, width)
    assert abs(high * wide / 1e6 - asked) <= (high + wide) / 1e6


def test_nothing_asked_is_the_scale_of_the_model():
    assert Size().of(3, 5, scale=4) == (12, 20)
    assert Size().plain
    assert not Size(factor=4).plain


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (Size(width=100), "the width of 100 asked for"),
        (Size(height=70), "the height of 70 asked for"),
        (Size(width=500, height=70), "the 500x70 asked for"),
        (Size(megapixels=0.009), "the 0.009 megapixels asked for"),
    ],
)
def test_an_image_larger_than_what_is_asked_is_refused(size, told):
    with pytest.raises(ImageError, match=rf"^120x80 is larger than {told}: mmsr enlarges"):
        size.of(80, 120)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"factor": 0.5}, "scale 0.5 would shrink"),
        ({"factor": 0}, "factor 0 is not a size"),
        ({"factor": math.nan}, "factor nan is not a size"),
        ({"megapixels": math.inf}, "megapixels inf is not a size"),
        ({"width": -3}, "width -3 is not a size"),
        ({"factor": 2, "width": 90}, "factor and width can't hold together"),
        ({"height": 2, "megapixels": 9}, "height and megapixels can't hold together"),
    ],
)
def test_nonsense_is_refused(asked, told):
    with pytest.raises(ImageError, match=told):
        Size(**asked)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        *((1, (2,)), (1.5, (2,)), (2, (2,)), (2.01, (4,)), (3, (4,)), (4, (4,))),
        *(
            (6, (4,)),
            (8, (4,)),
            (9, (4, 2)),
            (12, (4, 2)),
            (16, (4, 2)),
            (17, (4, 4)),
            (32, (4, 4)),
        ),
    ],
)
def test_the_shipped_scales_reach_a_factor_by(factor, expected):
    assert passes(factor, (4, 2)) == expected


@pytest.mark.parametrize(
    ("factor", "scale", "expected"),
    [
        (1.5, 4, (4,)),
        (3, 2, (2, 2)),
        (4, 2, (2, 2)),
        (8, 2, (2, 2)),
        (9, 2, (2, 2, 2)),
        (5, 3, (3, 3)),
    ],
)
def test_a_single_model_is_repeated(factor, scale, expected):
    assert passes(factor, [scale]) == expected


@given(st.floats(1, 1000), st.sets(st.integers(2, 8), min_size=1))
def test_networks_do_all_of_the_enlarging_but_a_rest(factor, scales):
    try:
        product = math.prod(passes(factor, scales))
    except ImageError:
        assume(False)
    assert product >= factor - 1e-6 or (product >= ENOUGH and factor / product <= REST + 1e-6)


@pytest.mark.parametrize(("factor", "scales"), [(1e9, (2, 4)), (1.5, (1,))])
def test_a_factor_out_of_reach_is_refused(factor, scales):
    with pytest.raises(ImageError, match="more than 4 passes"):
        passes(factor, scales)
