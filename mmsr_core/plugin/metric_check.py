"""The contract check of a metric: numpy alone, where the metric itself needs no more."""

import math
from collections.abc import Callable
from typing import NoReturn, get_args

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Better, Metric

SIDES = (224, 288)
BORDER = 4


def check_metric(metric: Metric) -> None:
    """Check a metric on made images of 224×288 pixels.

    Promised: one finite float or infinity, the same twice; the images stay as they were; the
    `border` pixels do not count; an image of a few pixels gives a number or nan, no error. With
    a reference, an image equal to it is better than a noisy one; without, `hr` may be None.
    What `open` raises when weights or packages are not there comes through.
    """
    what = f"metric {metric.name}"
    if metric.better not in get_args(Better):
        _fail(what, f"better, one of {', '.join(get_args(Better))}", repr(metric.better))
    if not metric.column.isidentifier():
        _fail(what, "a key of letters, digits and _", repr(metric.column))
    measure = metric.open()
    hr = _picture()
    noise = np.random.default_rng(1).normal(0, 0.05, hr.shape)
    sr = np.clip(hr + noise, 0, 1).astype(np.float32)
    before = sr.copy(), hr.copy()
    value = _value(what, measure(sr, hr, BORDER))
    if not (np.array_equal(sr, before[0]) and np.array_equal(hr, before[1])):
        _fail(what, "to leave the images as they were", "one that it changed")
    if measure(sr, hr, BORDER) != value:
        _fail(what, "the same value twice", f"{value:.6g}, then another")
    framed = 1 - sr
    inside = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    framed[inside] = sr[inside]
    if measure(framed, hr, BORDER) != value:
        _fail(what, f"not to look at the border of {BORDER} pixels", "a value that depends on it")
    if metric.reference:
        equal = _value(what, measure(hr, hr, BORDER))
        if (equal > value) != (metric.better == "higher") or equal == value:
            seen = f"{equal:.6g} for equal images, {value:.6g} for noise"
            _fail(what, f'"{metric.better}" for what is better', seen)
    elif measure(sr, None, BORDER) != value:
        _fail(what, "the same value without a reference", "another")
    _check_small(what, measure, sr[:17, :19], hr[:17, :19])


def _check_small(
    what: str, measure: Callable[..., float], sr: npt.NDArray[np.float32], hr: object
) -> None:
    try:
        float(measure(sr, hr, 0))
    except (ValueError, RuntimeError, IndexError) as error:
        _fail(what, "nan for an image too small for it", f"{type(error).__name__}: {error}")


def _value(what: str, value: object) -> float:
    if not isinstance(value, float | np.floating) or math.isnan(value):
        _fail(what, "a float", repr(value))
    return float(value)


def _picture() -> npt.NDArray[np.float32]:
    """Noise of falling frequencies, as photographs have, (h,w,3) in [0,1]."""
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(SIDES[0])[:, None], np.fft.fftfreq(SIDES[1])[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / max(SIDES))
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=SIDES)) * falling).real for _ in range(3)]
    picture = np.stack(planes, axis=2)
    low, high = picture.min(), picture.max()
    return np.asarray((picture - low) / (high - low), np.float32)


def _fail(what: str, promised: str, seen: str) -> NoReturn:
    raise PluginError(f"{what}: promised {promised}; seen: {seen}")
