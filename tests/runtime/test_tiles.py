from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.runtime.tiles import Box, Canvas, Grid


@st.composite
def guillotine(draw, rows, columns):
    """Rectangles of cells (rows, columns) that straight cuts leave."""
    cuts = [("row", k) for k in range(rows.start + 1, rows.stop)]
    cuts += [("column", k) for k in range(columns.start + 1, columns.stop)]
    cut = draw(st.sampled_from([None, *cuts]))
    if cut is None:
        return [(rows, columns)]
    axis, k = cut
    if axis == "row":
        halves = (slice(rows.start, k), columns), (slice(k, rows.stop), columns)
    else:
        halves = (rows, slice(columns.start, k)), (rows, slice(k, columns.stop))
    return [found for half in halves for found in draw(guillotine(*half))]


@st.composite
def tilings(draw):
    """A canvas, the boxes of one tiling of it, and their overlap."""
    cell = draw(st.integers(2, 9))
    grid = Grid(draw(st.integers(1, 4 * cell)), draw(st.integers(1, 4 * cell)), cell)
    overlap = draw(st.integers(0, cell))
    canvas = Canvas(grid, draw(st.integers(1, 4)), overlap, draw(st.booleans()))
    cells = draw(guillotine(slice(0, grid.rows), slice(0, grid.columns)))
    return canvas, draw(st.permutations([grid.box(*pair) for pair in cells])), overlap


def window_of(canvas, box):
    return box.grown(canvas.margin, canvas.grid.height, canvas.grid.width)


def pixels_of(canvas):
    """All of a canvas that has never been taken from."""
    return np.concatenate([slab.copy() for slab in canvas.take(canvas.grid.height)], axis=1)


def nearest(image, window, scale):
    cut = image[:, window.top : window.bottom, window.left : window.right]
    return cut.repeat(scale, 1).repeat(scale, 2)


@given(tilings(), st.integers(0, 99))
def test_cutting_and_stitching_a_nearest_upscale_changes_nothing(tiling, seed):
    canvas, boxes, _ = tiling
    grid = canvas.grid
    image = np.random.default_rng(seed).random((3, grid.height, grid.width), np.float32)
    for box in boxes:
        window = window_of(canvas, box)
        canvas.add(box, nearest(image, window, canvas.scale), window)
    everything = Box(0, grid.height, 0, grid.width)
    np.testing.assert_allclose(
        pixels_of(canvas), nearest(image, everything, canvas.scale), atol=1e-6
    )


@given(tilings(), st.integers(0, 99))
def test_rows_that_leave_as_they_are_finished_are_those_of_the_whole(tiling, seed):
    whole, boxes, overlap = tiling
    grid = whole.grid
    rng = np.random.default_rng(seed)
    inside = {y for box in boxes for y in range(box.top + 1, box.bottom)}
    bottoms = sorted({*range(1, grid.height), grid.height} - inside)  # where no box is crossed
    bands = [
        [box for box in boxes if top <= box.top < bottom] for top, bottom in pairwise([0, *bottoms])
    ]
    tallest = max(bottom - top for top, bottom in pairwise([0, *bottoms]))
    part = Canvas(grid, whole.scale, overlap, whole.average, tallest)
    found = []
    for bottom, band in zip(bottoms, bands, strict=True):
        for box in band:
            window = window_of(whole, box)
            size = window.scaled(whole.scale)
            answer = rng.random((3, size.bottom - size.top, size.right - size.left), np.float32)
            whole.add(box, answer, window)
            part.add(box, answer, window)
        found += [slab.copy() for slab in part.take(bottom)]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), pixels_of(whole))


@given(tilings())
def test_the_weights_on_any_pixel_sum_to_one(tiling):
    canvas, boxes, _ = tiling
    total = 0
    for box in boxes:
        alone = Canvas(canvas.grid, canvas.scale, 0, canvas.average)
        alone.half = canvas.half
        window = window_of(canvas, box)
        size = window.scaled(canvas.scale)
        shape = 3, size.bottom - size.top, size.right - size.left
        alone.add(box, np.ones(shape, np.float32), window)
        total = total + pixels_of(alone)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def blend_of_zero_and_one(overlap, average, scale=1):
    canvas = Canvas(Grid(4, 16, 8), scale, overlap, average)
    for value, box in enumerate([Box(0, 4, 0, 8), Box(0, 4, 8, 16)]):
        window = window_of(canvas, box)
        width = (window.right - window.left) * scale
        canvas.add(box, np.full((3, 4 * scale, width), value, np.float32), window)
    return pixels_of(canvas)[0, 0]


def test_an_average_is_flat_over_the_overlap():
    assert blend_of_zero_and_one(4, average=True).tolist() == [0] * 6 + [0.5] * 4 + [1] * 6


def test_a_cross_fade_is_linear_over_the_overlap():
    expected = [0] * 6 + [0.125, 0.375, 0.625, 0.875] + [1] * 6
    assert blend_of_zero_and_one(4, average=False).tolist() == expected


def test_without_overlap_regions_meet_in_a_hard_edge():
    assert blend_of_zero_and_one(0, average=False).tolist() == [0] * 8 + [1] * 8


def test_an_odd_overlap_is_exact_to_the_upscaled_pixel():
    seam = blend_of_zero_and_one(3, average=True, scale=2)
    assert np.flatnonzero(seam == 0.5).tolist() == list(range(13, 19))


def test_short_cells_repeat_the_border():
    image = np.arange(3 * 5 * 3, dtype=np.float32).reshape(3, 5, 3)
    last = Grid(5, 3, 4).cells(image)[1]
    assert (last == np.pad(image[:, 4:], ((0, 0), (0, 3), (0, 1)), mode="edge")).all()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_cells_hold_the_pixels_of_their_boxes_row_by_row(height, width, cell):
    grid = Grid(height, width, cell)
    image = np.random.default_rng(0).random((3, height, width), np.float32)
    cells = iter(grid.cells(image))
    for row in range(grid.rows):
        for column in range(grid.columns):
            box = grid.box(slice(row, row + 1), slice(column, column + 1))
            pixels = image[:, box.top : box.bottom, box.left : box.right]
            assert (next(cells)[:, : pixels.shape[1], : pixels.shape[2]] == pixels).all()
    assert next(cells, None) is None


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_the_boxes_of_all_cells_cover_the_image_once(height, width, cell):
    grid = Grid(height, width, cell)
    seen = np.zeros((height, width), int)
    for row in range(grid.rows):
        for column in range(grid.columns):
            box = grid.box(slice(row, row + 1), slice(column, column + 1))
            seen[box.top : box.bottom, box.left : box.right] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("margin", [0, 3, 100])
def test_a_grown_box_stays_inside_the_image(margin):
    grown = Box(2, 6, 1, 5).grown(margin, 8, 9)
    reach = min(margin, 2), min(margin, 2), min(margin, 1), min(margin, 4)
    assert grown == Box(2 - reach[0], 6 + reach[1], 1 - reach[2], 5 + reach[3])


def test_a_scaled_box_has_the_scaled_area():
    box = Box(1, 4, 2, 7)
    assert box.scaled(3).area == 9 * box.area == 9 * 15


@given(st.integers(1, 100), st.integers(1, 100), st.integers(8, 64))
def test_the_areas_of_the_cells_are_those_of_their_boxes(height, width, cell):
    grid = Grid(height, width, cell)
    boxes = [
        grid.box(slice(row, row + 1), slice(column, column + 1)).area
        for row in range(grid.rows)
        for column in range(grid.columns)
    ]
    assert grid.areas.tolist() == boxes
    assert grid.areas.sum() == height * width
