"""Fidelity metrics as super-resolution papers report them: on the luma of 8-bit images.

Both images are float32 RGB (h,w,3) in [0,1], rounded to 8 bits first; `border` pixels are
shaved off every side, usually as many as the scale. The protocol's other half, how LR is made
from HR, is `mmsr_core.runtime.image.degrade`.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.image import quantize
from mmsr_core.runtime.tiles import Floats

_WINDOW = 11
_SIGMA = 1.5
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the five scales of MS-SSIM, finest first (Wang et al. 2003)."""

Doubles = npt.NDArray[np.float64]


def luma(rgb: npt.NDArray[np.floating]) -> Doubles:
    """BT.601 luma (h,w) of RGB (h,w,3) in [0,1], in 16 (black) to 235 (white) as in rgb2ycbcr."""
    return np.asarray(16.0 + rgb @ np.array([65.481, 128.553, 24.966]))


def psnr_y(sr: Floats, hr: Floats, border: int) -> float:
    """Peak signal-to-noise ratio of the luma in dB, peak 255; infinite for equal images.

    ValueError when the shapes differ or the border leaves nothing.
    """
    a, b = _shaved(sr, hr, border, 1)
    error = float(np.mean((a - b) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim_y(sr: Floats, hr: Floats, border: int) -> float:
    """Mean structural similarity of the luma (Wang et al. 2004), at most 1.

    Gaussian window 11×11, σ = 1.5, K1 = 0.01, K2 = 0.03, L = 255, only where the window lies
    inside. ValueError when the shapes differ or fewer than 11×11 pixels are left.
    """
    a, b = _shaved(sr, hr, border, _WINDOW)
    brightness, structure = _similarity(a, b)
    return float(np.mean(brightness * structure))


def ms_ssim_y(sr: Floats, hr: Floats, border: int) -> float:
    """Multi-scale structural similarity of the luma (Wang et al. 2003), 0 to 1.

    SSIM's contrast and structure at five scales, each the 2×2 mean of the one before; its
    brightness at the coarsest alone. Windows lie inside, as in `ssim_y`; a scale whose mean is
    negative counts as 0. nan when a side is shorter than 176 pixels, for no window fits into the
    coarsest scale. ValueError when the shapes differ or the border leaves nothing.
    """
    return _ms_ssim(*_shaved(sr, hr, border, 1))


def psnr_rgb(decoded: Floats, original: Floats) -> float:
    """Peak signal-to-noise ratio of all channels in dB, of 8 bits; infinite for equal images.

    ValueError when the shapes differ. Codecs are compared by this one and `ms_ssim_rgb`.
    """
    a, b = _channels(decoded, original)
    error = float(np.mean((a - b) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim_rgb(decoded: Floats, original: Floats) -> float:
    """Multi-scale structural similarity as in `ms_ssim_y`, the mean of the three channels.

    nan when a side is shorter than 176 pixels. ValueError when the shapes differ.
    """
    a, b = _channels(decoded, original)
    return float(np.mean([_ms_ssim(a[..., c], b[..., c]) for c in range(3)]))


def _channels(decoded: Floats, original: Floats) -> tuple[Doubles, Doubles]:
    """Both in 8 bits, 0 to 255."""
    if decoded.shape != original.shape:
        raise ValueError(f"images differ in shape: {decoded.shape} and {original.shape}")
    first, second = (quantize(image).astype(np.float64) for image in (decoded, original))
    return first, second


def _ms_ssim(a: Doubles, b: Doubles) -> float:
    """Of planes in 0 to 255."""
    if min(a.shape) < _WINDOW << (len(_SCALES) - 1):
        return math.nan
    product = 1.0
    for scale, weight in enumerate(_SCALES):
        brightness, structure = _similarity(a, b)
        coarsest = scale == len(_SCALES) - 1
        value = float(np.mean(brightness * structure if coarsest else structure))
        product *= max(value, 0.0) ** weight
        a, b = _halved(a), _halved(b)
    return product


def perceptual_index(niqe: float, ma: float) -> float:
    """½((10 − Ma) + NIQE), the perceptual index (PIRM 2018); lower is better."""
    return ((10 - ma) + niqe) / 2


def _similarity(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """SSIM's two factors at every window: brightness, and contrast with structure."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return brightness, (2 * covariance + c2) / (var_a + var_b + c2)


def _halved(plane: Doubles) -> Doubles:
    """Means of 2×2 pixels; an odd last row or column is left out."""
    height, width = (side // 2 for side in plane.shape)
    cells = plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(cells.mean(axis=(1, 3)))


def _blur(plane: Doubles) -> Doubles:
    """The window's weighted mean at every place where it lies inside."""
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    edge = _WINDOW // 2
    blurred = cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)
    return np.asarray(blurred[edge:-edge, edge:-edge], np.float64)


def _shaved(sr: Floats, hr: Floats, border: int, least: int) -> tuple[Doubles, Doubles]:
    """The luma of both, rounded and shaved; at least `least` pixels must stay each way."""
    if sr.shape != hr.shape:
        raise ValueError(f"images differ in shape: {sr.shape} and {hr.shape}")
    height, width = (side - 2 * border for side in sr.shape[:2])
    if min(height, width) < least:
        raise ValueError(f"{sr.shape[1]}x{sr.shape[0]} is too small for a border of {border}")
    inside = slice(border, border + height), slice(border, border + width)
    first, second = (luma(quantize(picture[inside]) / 255.0) for picture in (sr, hr))
    return first, second
