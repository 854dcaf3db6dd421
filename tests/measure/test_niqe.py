import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.measure.metrics import luma
from mmsr_core.measure.niqe import block_features, fit, niqe
from mmsr_core.measure.pristine import Pristine
from mmsr_core.runtime.image import quantize, resize

SHIPPED = Pristine.open()


def picture(height, width, seed=0):
    """Noise that falls with frequency, as in photographs."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    plain = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * falling[..., None], axes=(0, 1)).real
    return ((plain - plain.min()) / np.ptp(plain)).astype(np.float32)


def local_statistics(plane):
    """(I − μ)/(σ + 1) and σ, by adding up the 49 shifted planes of the window."""
    offset = np.arange(7) - 3
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    padded = np.pad(plane, 3, "edge")
    height, width = plane.shape
    mean, square = np.zeros_like(plane), np.zeros_like(plane)
    for (y, x), weight in np.ndenumerate(window):
        shifted = padded[y : y + height, x : x + width]
        mean += weight * shifted
        square += weight * shifted**2
    deviation = np.sqrt(np.abs(square - mean**2))
    return (plane - mean) / (deviation + 1), deviation


def matched(values):
    """Shape, left and right scale, and mean, by trying every shape."""
    left = math.sqrt(np.mean(values[values < 0] ** 2))
    right = math.sqrt(np.mean(values[values > 0] ** 2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes = [0.2 + 0.001 * step for step in range(9801)]
    gammas = [[math.gamma(order / shape) for order in (1, 2, 3)] for shape in shapes]
    off = [(two**2 / (one * three) - ratio) ** 2 for one, two, three in gammas]
    best = int(np.argmin(off))
    one, two, three = gammas[best]
    scale = math.sqrt(one / three)
    return shapes[best], left * scale, right * scale, (right - left) * scale * two / one


def slow_features(block):
    """18 features of one block of normalised luma."""
    shape, left, right, _ = matched(block)
    found = [shape, (left + right) / 2]
    side = len(block)
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = np.empty_like(block)
        for y, x in np.ndindex(side, side):
            neighbour[y, x] = block[(y - down) % side, (x - across) % side]
        shape, left, right, mean = matched(block * neighbour)
        found += [shape, mean, left, right]
    return found


def test_the_features_are_those_of_their_definition():
    rgb = picture(200, 110)
    plane = np.rint(luma(quantize(rgb)[:192, :96] / 255))
    mirrored = np.pad(plane, 8, "symmetric").astype(np.float32)
    half = resize(mirrored, 96 + 8, 48 + 8)[4:-4, 4:-4].astype(np.float64)
    normal, deviation = local_statistics(plane)
    small, _ = local_statistics(half)
    features, sharpness = block_features(rgb)
    assert features.shape == (2, 36)
    for row in range(2):
        cut, low = normal[96 * row : 96 * (row + 1)], small[48 * row : 48 * (row + 1)]
        assert features[row, :18] == pytest.approx(slow_features(cut), abs=1e-9)
        # A shape may fall on the neighbouring step: `resize` works in single precision.
        assert features[row, 18:] == pytest.approx(slow_features(low), abs=2e-3)
        assert sharpness[row] == pytest.approx(deviation[96 * row : 96 * (row + 1)].mean())


def test_the_score_is_the_distance_of_two_gaussians():
    rgb = picture(200, 300)
    features, _ = block_features(rgb)
    assert len(features) == 6
    apart = features.mean(0) - SHIPPED.mean
    spread = (np.cov(features.T) + SHIPPED.covariance) / 2
    assert niqe(rgb, SHIPPED) == pytest.approx(math.sqrt(apart @ np.linalg.inv(spread) @ apart))


def test_an_image_of_the_models_own_mean_scores_zero():
    rgb = picture(200, 300)
    features, _ = block_features(rgb)
    own = Pristine(features.mean(0), np.eye(36), 1, 6, "made", "CC0")
    assert niqe(rgb, own) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module", params=["china.jpg", "flower.jpg"])
def photograph(request):
    """One of the two sample photographs of scikit-learn."""
    from sklearn.datasets import load_sample_image

    return load_sample_image(request.param).astype(np.float32) / 255


@pytest.mark.parametrize("deviation", [1.5, 3])
def test_blur_raises_the_score_of_a_photograph(photograph, deviation):
    blurred = cv2.GaussianBlur(photograph, (0, 0), deviation)
    assert niqe(blurred, SHIPPED) > niqe(photograph, SHIPPED) + 0.5


@pytest.mark.parametrize("deviation", [0.05, 0.15])
def test_noise_raises_the_score_of_a_photograph(photograph, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, photograph.shape)
    noisy = np.clip(photograph + noise, 0, 1).astype(np.float32)
    assert niqe(noisy, SHIPPED) > niqe(photograph, SHIPPED) + 1


def test_photographs_score_as_photographs_do(photograph):
    assert 2 < niqe(photograph, SHIPPED) < 5


@settings(max_examples=10)
@given(st.integers(0, 95), st.integers(0, 95))
def test_what_no_whole_block_covers_does_not_count(down, across):
    whole = picture(192, 192)
    padded = np.pad(whole, ((0, down), (0, across), (0, 0)))
    assert niqe(padded, SHIPPED) == niqe(whole, SHIPPED)


def test_the_border_is_shaved():
    whole = picture(192, 192)
    assert niqe(np.pad(whole, ((4, 4), (4, 4), (0, 0))), SHIPPED, 4) == niqe(whole, SHIPPED)


def test_differences_below_eight_bits_do_not_count():
    rgb = picture(192, 192)
    rounded = np.rint(rgb * 255) / np.float32(255)
    assert niqe(rgb, SHIPPED) == niqe(rounded, SHIPPED)


@pytest.mark.parametrize(("height", "width"), [(95, 500), (191, 191), (1, 1)])
def test_an_image_of_fewer_than_two_blocks_has_no_score(height, width):
    assert math.isnan(niqe(picture(height, width), SHIPPED))


def test_an_image_without_texture_has_no_score():
    assert math.isnan(niqe(np.full((200, 200, 3), 0.5, np.float32), SHIPPED))


def test_a_flat_block_does_not_count():
    rgb = picture(96, 480)
    rgb[:, 300:] = 0.7
    features, _ = block_features(rgb)
    assert np.isnan(features[4]).all()
    assert not np.isnan(features[:4]).any()
    assert niqe(rgb, SHIPPED) == niqe(rgb[:, :384], SHIPPED)


def test_only_sharp_blocks_teach():
    sharp, blurred = picture(192, 960, 1), cv2.GaussianBlur(picture(192, 960, 2), (0, 0), 3)
    taught = fit([np.concatenate([sharp, blurred])] * 3, "made", "CC0")
    features, sharpness = block_features(np.concatenate([sharp, blurred]))
    assert (sharpness[:20] > 0.75 * sharpness.max()).all()
    assert (sharpness[20:] < 0.75 * sharpness.max()).all()
    # Where the halves meet a block has pixels of both, so the features are of the whole image.
    assert taught.mean == pytest.approx(features[:20].mean(0))
    assert (taught.photographs, taught.blocks) == (3, 60)


def test_too_few_sharp_blocks_are_refused():
    with pytest.raises(ValueError, match="36 sharp blocks in 1 photographs are too few"):
        fit([picture(6 * 96, 6 * 96), picture(50, 50)], "made", "CC0")
