from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.runtime.jobs import Band, Job, bands_of, batches, parts, waves, window_of
from mmsr_core.runtime.plan import Region
from mmsr_core.runtime.tiles import Box


def job(height, width):
    box = Box(0, height, 0, width)
    return Job(0, "SIMPLE", box, box, (height, width))


def region(top, bottom, left=0, right=10):
    return Region(Box(top, bottom, left, right), 0)


def test_a_batch_holds_one_shape():
    jobs = [job(4, 4), job(4, 8), job(4, 4), job(8, 4)]
    found = batches(jobs, 10**6)
    assert found == [[jobs[0], jobs[2]], [jobs[1]], [jobs[3]]]


def test_a_batch_stays_within_its_pixels():
    assert [len(batch) for batch in batches([job(4, 4)] * 5, 40)] == [2, 2, 1]


def test_a_job_larger_than_a_batch_runs_alone():
    assert [len(batch) for batch in batches([job(9, 9)] * 2, 0)] == [1, 1]


def test_bands_are_cut_where_no_region_crosses():
    regions = [region(0, 8, 0, 5), region(0, 4, 5, 10), region(4, 8, 5, 10), region(8, 12)]
    assert [(band.top, band.bottom) for band in bands_of(regions)] == [(0, 8), (8, 12)]


def test_bands_are_at_least_as_large_as_asked_for_but_the_last():
    regions = [region(top, top + 2) for top in range(0, 10, 2)]
    assert [(band.top, band.bottom) for band in bands_of(regions, 40)] == [(0, 4), (4, 8), (8, 10)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(0, 200), st.randoms())
def test_bands_hold_every_region_once_and_cover_the_height(heights, pixels, random):
    edges = np.cumsum([0, *heights]).tolist()
    regions = [region(top, bottom) for top, bottom in pairwise(edges)]
    random.shuffle(regions)
    bands = bands_of(regions, pixels)
    found = [one for band in bands for one in band.regions]
    assert sorted(found, key=lambda one: one.box.top) == sorted(
        regions, key=lambda one: one.box.top
    )
    assert [bands[0].top, *(band.bottom for band in bands)] == [
        *(band.top for band in bands),
        edges[-1],
    ]


def test_waves_fill_a_batch_across_images_in_order():
    small, large = Band(0, 2, (region(0, 2),)), Band(0, 9, (region(0, 9),))
    found = list(waves([[small], [small], [large, large], [small]], 40))
    assert [[index for index, _ in wave] for wave in found] == [[0, 1], [2], [2], [3]]


def test_without_a_batch_to_fill_every_band_is_a_wave():
    band = Band(0, 2, (region(0, 2),))
    assert list(waves([[band, band], [band]], 0)) == [[(0, band)], [(0, band)], [(1, band)]]


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 20), st.data())
def test_bucketed_tiles_hold_the_window_that_was_asked_for(height, width, halo, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, data.draw(st.integers(top + 1, height)), left, width)
    window, *shape = window_of(box, halo, height, width, 32)
    plain = box.grown(halo, height, width)
    assert window.top <= plain.top < plain.bottom <= window.bottom <= height
    assert window.left <= plain.left < plain.right <= window.right <= width
    assert window.top >= 0 <= window.left
    assert all(side % 32 == 0 for side in shape)
    assert shape[0] - (plain.bottom - plain.top) < 32 > shape[1] - (plain.right - plain.left)


def test_parts_of_the_work_fill_a_batch_in_order():
    jobs = [job(4, 4), job(4, 8), job(4, 4), job(8, 4)]
    assert list(parts(jobs, 40)) == [jobs[:2], jobs[2:]]
    assert list(parts(jobs, 0)) == [[one] for one in jobs]
    assert list(parts([], 40)) == []


def test_free_shapes_are_the_window_itself():
    box = Box(3, 20, 5, 40)
    assert window_of(box, 2, 30, 41, 1) == (box.grown(2, 30, 41), 21, 38)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (6, 8)])
def test_a_tile_repeats_the_border_where_the_image_ends_too_early(height, width):
    image = np.random.default_rng(0).random((5, 7, 3), np.float32)
    box = Box(0, 5, 0, 7)
    tile = Job(0, "SIMPLE", box, box, (height, width)).tile(image)
    expected = np.pad(image, ((0, height - 5), (0, width - 7), (0, 0)), mode="edge")
    np.testing.assert_array_equal(tile, expected.transpose(2, 0, 1))
