import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.runtime.image import degrade, quantize, resize


def picture(height=37, width=53, channels=3, bits=8):
    """Smooth colour, exactly representable in `bits`."""
    rng = np.random.default_rng(7)
    coarse = rng.random((4, 5, channels))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantize(smooth, bits).reshape(height, width, channels) / np.float32(2**bits - 1)


@pytest.mark.parametrize(
    ("height", "width"), [(37, 53), (9, 13), (18, 27), (148, 212), (111, 20), (1, 1), (40, 400)]
)
def test_resize_is_pillows_bicubic(height, width):
    plane = picture()[..., 0]
    expected = PIL.Image.fromarray(plane).resize((width, height), PIL.Image.Resampling.BICUBIC)
    assert np.abs(resize(plane, height, width) - np.asarray(expected)).max() < 1e-4


def test_resize_treats_channels_alike():
    rgb = picture()
    planes = [resize(rgb[..., channel], 20, 90) for channel in range(3)]
    assert np.allclose(resize(rgb, 20, 90), np.stack(planes, 2), atol=1e-6)


sides = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides, st.floats(0, 1, width=32))
def test_a_constant_stays_constant(height, width, new_height, new_width, value):
    plane = np.full((height, width), value, np.float32)
    assert np.allclose(resize(plane, new_height, new_width), value, atol=1e-6)


def test_degrading_crops_to_a_multiple_of_the_scale():
    hr, lr = degrade(picture(), 4)
    assert (hr.shape, lr.shape) == ((36, 52, 3), (9, 13, 3))
    assert np.array_equal(hr, picture()[:36, :52])


def test_a_degraded_image_has_eight_bits():
    _, lr = degrade(picture(bits=16), 2)
    assert np.array_equal(lr, quantize(lr) / np.float32(255))


def test_an_image_smaller_than_the_scale_cannot_be_degraded():
    with pytest.raises(ValueError, match="no LR at scale 4"):
        degrade(picture(3, 9), 4)


@pytest.mark.parametrize("bits", [8, 16])
def test_quantizing_rounds_and_clips(bits):
    top = 2**bits - 1
    values = np.array([-0.5, 0, 0.4 / top, 0.6 / top, 1, 1.5], np.float32)
    assert quantize(values, bits).tolist() == [0, 0, 0, 1, top, top]
