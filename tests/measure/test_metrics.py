import math

import numpy as np
import pytest

from mmsr_core.measure.metrics import luma, psnr_y, ssim_y


def pair(height=20, width=23, noise=0.05):
    rng = np.random.default_rng(3)
    hr = np.cumsum(rng.normal(0, 0.05, (height, width, 3)), axis=1) % 1
    sr = np.clip(hr + rng.normal(0, noise, hr.shape), 0, 1)
    return sr.astype(np.float32), hr.astype(np.float32)


def naive_luma(rgb):
    """Pixel by pixel, from 8-bit samples."""
    out = np.empty(rgb.shape[:2])
    for y, x in np.ndindex(*out.shape):
        r, g, b = (round(float(v) * 255) for v in rgb[y, x])
        out[y, x] = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    return out


def naive_ssim(a, b):
    """Window by window, straight from the definition."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            top = (2 * mp * mq + c1) * (2 * cov + c2)
            values.append(top / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((0, 0, 0), 16), ((1, 1, 1), 235), ((1, 0, 0), 81.481), ((0, 0, 1), 40.966)],
)
def test_luma_is_bt601(rgb, expected):
    assert luma(np.array([[rgb]], np.float32))[0, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("border", [0, 4])
def test_psnr_matches_its_definition(border):
    sr, hr = pair()
    inner = slice(border, 20 - border), slice(border, 23 - border)
    error = np.mean((naive_luma(sr[inner]) - naive_luma(hr[inner])) ** 2)
    assert psnr_y(sr, hr, border) == pytest.approx(10 * math.log10(255**2 / error), abs=1e-6)


def test_psnr_of_one_step_of_grey_is_known():
    hr = np.full((16, 16, 3), 100 / 255, np.float32)
    sr = np.full((16, 16, 3), 101 / 255, np.float32)
    assert psnr_y(sr, hr, 0) == pytest.approx(20 * math.log10(255 / (219 / 255)), abs=1e-6)


@pytest.mark.parametrize("border", [0, 2])
def test_ssim_matches_its_definition(border):
    sr, hr = pair()
    inner = slice(border, 20 - border), slice(border, 23 - border)
    expected = naive_ssim(naive_luma(sr[inner]), naive_luma(hr[inner]))
    assert ssim_y(sr, hr, border) == pytest.approx(expected, abs=1e-9)


def test_equal_images_have_infinite_psnr():
    _, hr = pair()
    assert psnr_y(hr, hr, 4) == math.inf


def test_equal_images_have_ssim_one():
    _, hr = pair()
    assert ssim_y(hr, hr, 4) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [psnr_y, ssim_y])
def test_differences_below_eight_bits_do_not_count(metric):
    sr, hr = pair()
    rounded = np.rint(hr * 255) / np.float32(255)
    assert metric(sr, hr, 0) == metric(sr, rounded, 0)


@pytest.mark.parametrize("metric", [psnr_y, ssim_y])
def test_values_outside_the_range_are_clipped(metric):
    sr, hr = pair()
    over = np.where(sr == 1, np.float32(1.3), np.where(sr == 0, np.float32(-0.3), sr))
    assert np.any(over != sr)
    assert metric(over, hr, 0) == metric(sr, hr, 0)


@pytest.mark.parametrize("metric", [psnr_y, ssim_y])
def test_the_border_does_not_count(metric):
    sr, hr = pair()
    spoilt = sr.copy()
    spoilt[:4] = spoilt[-4:] = 0
    spoilt[:, :4] = spoilt[:, -4:] = 1
    assert metric(spoilt, hr, 4) == metric(sr, hr, 4)


@pytest.mark.parametrize("metric", [psnr_y, ssim_y])
def test_different_shapes_are_refused(metric):
    sr, hr = pair()
    with pytest.raises(ValueError, match="differ in shape"):
        metric(sr[:-1], hr, 0)


def test_a_border_that_leaves_nothing_is_refused():
    sr, hr = pair()
    with pytest.raises(ValueError, match="too small for a border of 10"):
        psnr_y(sr, hr, 10)


def test_ssim_of_less_than_a_window_is_refused():
    sr, hr = pair()
    with pytest.raises(ValueError, match="too small"):
        ssim_y(sr, hr, 5)
