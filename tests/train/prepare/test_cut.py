import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.train.prepare.cut import corners, cut, starts

tilings = st.integers(1, 40).flatmap(
    lambda tile: st.tuples(st.integers(1, 200), st.just(tile), st.integers(0, tile - 1))
)


@given(tilings)
def test_tiles_lie_inside_the_side_and_no_two_are_the_same(tiling):
    length, tile, overlap = tiling
    found = starts(length, tile, overlap)
    assert all(0 <= start <= length - tile for start in found)
    assert found == sorted(set(found))
    assert bool(found) == (length >= tile)


@given(tilings)
def test_neighbours_share_at_least_the_overlap_and_the_last_alone_may_share_more(tiling):
    length, tile, overlap = tiling
    found = np.array(starts(length, tile, overlap))
    steps = np.diff(found)
    assert (steps[:-1] == tile - overlap).all()
    assert (steps <= tile - overlap).all()


@given(tilings)
def test_less_than_half_a_step_is_lost_at_the_far_border(tiling):
    length, tile, overlap = tiling
    found = starts(length, tile, overlap)
    if found:
        assert 2 * (length - found[-1] - tile) < tile - overlap


@pytest.mark.parametrize(
    ("length", "expected"),
    [(7, []), (8, [0]), (11, [0]), (12, [0, 4]), (16, [0, 8]), (19, [0, 8]), (20, [0, 8, 12])],
)
def test_a_rest_of_half_a_tile_gets_a_tile_that_ends_at_the_border(length, expected):
    assert starts(length, 8, 0) == expected


def test_corners_go_row_by_row_and_cut_takes_the_pixels_there():
    pixels = np.arange(6 * 9 * 3).reshape(6, 9, 3).astype(np.uint8)
    places = corners(6, 9, 3, 0)
    assert places.tolist() == [[0, 0], [0, 3], [0, 6], [3, 0], [3, 3], [3, 6]]
    tiles = cut(pixels, places, 3)
    assert tiles.shape == (6, 3, 3, 3)
    assert np.array_equal(tiles[5], pixels[3:6, 6:9])
