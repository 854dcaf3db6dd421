"""Rows that are resampled as they come."""

import tracemalloc

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.runtime import resample
from mmsr_core.runtime.resample import resampled

sides = st.integers(1, 70)


def noise(*shape):
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def strips(image, *heights):
    """The image cut after so many rows, again and again."""
    top = 0
    while top < len(image):
        for height in heights:
            yield image[top : top + height]
            top += height


def whole(image, height, width, *cuts):
    rows = resampled(strips(image, *cuts or (len(image),)), *image.shape[:2], height, width)
    return np.concatenate(list(rows))


@settings(max_examples=60)
@given(sides, sides, st.integers(1, 200), st.integers(1, 200))
def test_resampling_is_pillows_bicubic(height, width, new_height, new_width):
    plane = noise(height, width)
    picture = PIL.Image.fromarray(plane).resize((new_width, new_height), PIL.Image.BICUBIC)
    np.testing.assert_allclose(whole(plane, new_height, new_width), np.asarray(picture), atol=2e-6)


@settings(max_examples=40)
@given(sides, sides, sides, sides, st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_how_an_image_is_cut_into_strips_changes_no_bit(height, width, new_height, new_width, cuts):
    image = noise(height, width, 3)
    expected = whole(image, new_height, new_width)
    np.testing.assert_array_equal(whole(image, new_height, new_width, *cuts), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_channel_is_resampled_like_a_plane(channels):
    image = noise(30, 20, channels)
    planes = [whole(image[..., channel], 47, 33) for channel in range(channels)]
    np.testing.assert_allclose(whole(image, 47, 33), np.stack(planes, 2), atol=1e-6)


def test_the_same_size_is_the_same_image():
    image = noise(80, 50, 3)
    np.testing.assert_allclose(whole(image, 80, 50, 7), image, atol=1e-6)


def test_rows_are_out_before_the_last_strip_is_in():
    taken = []

    def coming():
        for number in range(100):
            taken.append(number)
            yield noise(10, 40, 3)

    first = next(resampled(coming(), 1000, 40, 1500, 60))
    assert len(first) == resample.ROWS
    assert len(taken) < 5


@pytest.mark.parametrize(("width", "height", "new_width"), [(4000, 900, 6000), (6000, 450, 4500)])
def test_no_more_is_held_than_was_said(width, height, new_width):
    strip = np.zeros((64, width, 3), np.float32)
    tracemalloc.start()
    for _ in resampled((strip.copy() for _ in range(10)), 600, width, height, new_width):
        pass
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < resample.memory_needed(width, new_width)


def test_an_image_that_ends_too_early_is_an_error():
    with pytest.raises(ValueError, match="ends 3 rows too early"):
        list(resampled(iter([noise(20, 9)]), 30, 9, 45, 9))


def test_no_matrix_product_is_large_enough_for_a_blas_to_start_threads(monkeypatch):
    sizes = []
    matmul = np.matmul

    def counted(a, b, out):
        sizes.append(a.shape[0] * a.shape[1] * b.shape[1])
        return matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    for height, width in ((150, 3000), (30, 600), (900, 1000)):
        whole(noise(100, 2000, 3), height, width)
    assert max(sizes) <= 2 * resample.PRODUCT
