"""Rate-distortion curves, and how far apart two of them are."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Point = tuple[float, float]
"""Bits a pixel, and a quality of which more is better."""
_STEPS = 1000


def bd_rate(reference: Sequence[Point], candidate: Sequence[Point]) -> float:
    """Bjøntegaard's mean difference in rate at equal quality, as a share: −0.1 is a tenth less.

    Over the qualities that both reach; between points the logarithm of the rate is a monotone
    cubic (Fritsch and Carlson 1980) of the quality. nan when they share none, or when fewer than
    two points are left of a curve.
    """
    curves = [_rising(points) for points in (reference, candidate)]
    if any(len(quality) < 2 for quality, _ in curves):
        return math.nan
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    if low >= high:
        return math.nan
    at = np.linspace(low, high, _STEPS)
    one, other = (_monotone(quality, rate, at) for quality, rate in curves)
    return math.exp(float(np.trapezoid(other - one, at)) / (high - low)) - 1


def decibels(ms_ssim: float) -> float:
    """MS-SSIM, which crowds near 1, as −10·log10(1 − x)."""
    return -10 * math.log10(max(1 - ms_ssim, 1e-10))


def _rising(points: Sequence[Point]) -> tuple[Doubles, Doubles]:
    """Qualities and log rates, without points that cost more than a better one."""
    kept: list[Point] = []
    for rate, quality in sorted(points):
        if not kept or quality > kept[-1][1]:
            kept.append((rate, quality))
    rates, qualities = np.array(kept).reshape(-1, 2).T
    return qualities, np.log(rates)


def _monotone(x: Doubles, y: Doubles, at: Doubles) -> Doubles:
    """Values at `at` of the monotone cubic through (x, y), x rising."""
    width, rise = np.diff(x), np.diff(y) / np.diff(x)
    slope = np.concatenate([rise[:1], (rise[1:] + rise[:-1]) / 2, rise[-1:]])
    slope[1:-1][rise[1:] * rise[:-1] <= 0] = 0
    for index, steep in enumerate(rise):
        if steep == 0:
            slope[index] = slope[index + 1] = 0
            continue
        a, b = slope[index] / steep, slope[index + 1] / steep
        if (size := math.hypot(a, b)) > 3:
            slope[index], slope[index + 1] = 3 * a / size * steep, 3 * b / size * steep
    place = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(rise) - 1)
    t, h = (at - x[place]) / width[place], width[place]
    left = (1 + 2 * t) * (1 - t) ** 2 * y[place] + t * (1 - t) ** 2 * h * slope[place]
    right = t**2 * (3 - 2 * t) * y[place + 1] + t**2 * (t - 1) * h * slope[place + 1]
    return np.asarray(left + right)
