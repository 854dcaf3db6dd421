"""NIQE: how far an image's statistics lie from those of sharp photographs; needs no reference.

Mittal, Soundararajan and Bovik, "Making a Completely Blind Image Quality Analyzer", 2013.
Images are float32 RGB (h,w,3) in [0,1]; what is scored is their luma, of 8 bits, rounded.
"""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from mmsr_core.measure.metrics import Doubles, luma
from mmsr_core.measure.pristine import Pristine
from mmsr_core.runtime.image import quantize
from mmsr_core.runtime.tiles import Floats

BLOCK = 96
"""Side of a block in pixels; what a whole block no longer covers is not scored."""
LEAST_BLOCKS = 2
"""Fewer blocks have no covariance."""
SHARP = 0.75
"""A block teaches the pristine model when it is this sharp, beside the sharpest of its image."""
_WINDOW = 7
_SIGMA = 7 / 6
_ROUNDING = 1e-9
"""Less than one step of 8 bits at the rim of a window makes, even at half size."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_HALVE = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
"""Keys' cubic, a = −0.5, stretched to halve: antialiased bicubic as MATLAB's imresize has it."""
_SHAPES = np.arange(0.2, 10.001, 0.001)
"""The shapes α that a generalised Gaussian is matched among."""
_GAMMA_1, _GAMMA_2, _GAMMA_3 = (
    np.array([math.gamma(order / shape) for shape in _SHAPES]) for order in (1, 2, 3)
)
_RATIOS = _GAMMA_2**2 / (_GAMMA_1 * _GAMMA_3)
"""(E|x|)² / E x² of a generalised Gaussian of each shape; rises with the shape."""


def niqe(sr: Floats, pristine: Pristine, border: int = 0) -> float:
    """Distance from the pristine model (Eq. 10), 0 at best; `border` pixels are shaved first.

    nan when fewer than two blocks of 96×96 fit, or when too few of them have any texture.
    """
    inside = sr[border : sr.shape[0] - border, border : sr.shape[1] - border]
    features, _ = block_features(inside)
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < LEAST_BLOCKS:
        return math.nan
    apart = np.nanmean(features, axis=0) - pristine.mean
    spread = (pristine.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(apart @ np.linalg.pinv(spread) @ apart))


def fit(images: Iterable[Floats], source: str, licence: str) -> Pristine:
    """The Gaussian of the features of the sharp blocks of undistorted photographs (Sec. II-D).

    An image smaller than a block teaches nothing. ValueError when fewer than 37 blocks are
    sharp: 36 features would have no covariance.
    """
    taught, photographs = [], 0
    for rgb in images:
        features, sharpness = block_features(rgb)
        if len(features):
            photographs += 1
            taught.append(features[sharpness > SHARP * sharpness.max()])
    blocks = np.concatenate([np.empty((0, 36)), *taught])
    blocks = blocks[~np.isnan(blocks).any(axis=1)]
    if len(blocks) <= blocks.shape[1]:
        raise ValueError(f"{len(blocks)} sharp blocks in {photographs} photographs are too few")
    return Pristine(
        mean=blocks.mean(axis=0),
        covariance=np.cov(blocks, rowvar=False),
        photographs=photographs,
        blocks=len(blocks),
        source=source,
        licence=licence,
    )


def block_features(rgb: Floats) -> tuple[Doubles, Doubles]:
    """The 36 features of every block (n,36), row by row, and the blocks' sharpness (n,).

    18 features at full size, then 18 of the same block at half size. A feature is nan where
    a block has no texture to match. Sharpness is the mean local deviation at full size.
    """
    down, across = (side // BLOCK for side in rgb.shape[:2])
    if not down * across:
        return np.empty((0, 36)), np.empty(0)
    whole = rgb[: down * BLOCK, : across * BLOCK]
    plane = np.rint(luma(quantize(whole) / 255.0))
    normal, deviation = _normalised(plane)
    half, _ = _normalised(_halved(plane))
    features = [
        np.concatenate([_statistics(block) for block in _rows_of_blocks(size, down, across)])
        for size in (normal, half)
    ]
    sharpness = np.concatenate(
        [row.mean(axis=(1, 2)) for row in _rows_of_blocks(deviation, down, across)]
    )
    return np.concatenate(features, axis=1), sharpness


def _normalised(plane: Doubles) -> tuple[Doubles, Doubles]:
    """(I − μ) / (σ + 1) and σ, both local under a 7×7 Gaussian window (Eq. 1–3)."""
    mean = _blurred(plane)
    deviation = np.sqrt(np.abs(_blurred(plane * plane) - mean * mean))
    apart = plane - mean
    apart[np.abs(apart) < _ROUNDING] = 0  # a flat area is flat, whatever the last bit says
    return apart / (deviation + 1), deviation


def _blurred(plane: Doubles) -> Doubles:
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    edge = cv2.BORDER_REPLICATE
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel, borderType=edge))


def _halved(plane: Doubles) -> Doubles:
    """Antialiased bicubic at half size, mirrored at the borders."""
    edge = cv2.BORDER_REFLECT
    anchor = (_HALVE.size // 2 - 1,) * 2
    smooth = cv2.sepFilter2D(plane, cv2.CV_64F, _HALVE, _HALVE, anchor=anchor, borderType=edge)
    return np.ascontiguousarray(smooth[::2, ::2], np.float64)


def _rows_of_blocks(plane: Doubles, down: int, across: int) -> Iterable[Doubles]:
    """Blocks (across,b,b), one row of them at a time: large images stay in the cache."""
    for row in np.split(plane, down):
        yield np.ascontiguousarray(np.stack(np.split(row, across, axis=1)))


def _statistics(blocks: Doubles) -> Doubles:
    """18 features (n,18) of blocks (n,b,b): of the pixels, and of products of neighbours.

    Neighbours are to the right, below, and on both diagonals; a block's last column meets its
    first, as in the published implementation.
    """
    shape, left, right, _ = _asymmetric(blocks)
    found = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right, mean = _asymmetric(blocks * np.roll(blocks, shift, axis=(1, 2)))
        found += [shape, mean, left, right]
    return np.stack(found, axis=1)


def _asymmetric(values: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """The asymmetric generalised Gaussian (Eq. 4–7) of each block (n,b,b), by its moments.

    Shape, left scale, right scale and mean, (n,) each; nan where a block lacks values of
    either sign.
    """
    axes = (1, 2)
    squares = values * values
    below = values < 0
    power, power_below = squares.sum(axis=axes), (squares * below).sum(axis=axes)
    count = values[0].size
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(power_below / below.sum(axis=axes))
        right = np.sqrt((power - power_below) / (values > 0).sum(axis=axes))
        skew = left / right
        ratio = (np.abs(values).sum(axis=axes) / count) ** 2 / (power / count)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    known = np.isfinite(ratio)
    nearest = _nearest(np.where(known, ratio, 0.0))
    gamma_1, gamma_2, gamma_3 = _GAMMA_1[nearest], _GAMMA_2[nearest], _GAMMA_3[nearest]
    scale = np.where(known, np.sqrt(gamma_1 / gamma_3), np.nan)
    mean = (right - left) * scale * gamma_2 / gamma_1
    return np.where(known, _SHAPES[nearest], np.nan), left * scale, right * scale, mean


def _nearest(ratio: Doubles) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Index of the shape whose ratio is nearest to each."""
    after = np.searchsorted(_RATIOS, ratio).clip(1, len(_RATIOS) - 1)
    closer = ratio - _RATIOS[after - 1] <= _RATIOS[after] - ratio
    return np.asarray(np.where(closer, after - 1, after))
