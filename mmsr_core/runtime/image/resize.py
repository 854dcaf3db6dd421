"""Pixels of other sizes and depths: rounded to integers, resized, degraded to LR."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.resample import keys
from mmsr_core.runtime.tiles import Floats

Samples = npt.NDArray[Any]


def quantize(array: Floats, bits: Literal[8, 16] = 8) -> Samples:
    """Round [0,1] to unsigned integers of 8 or 16 bits; what lies outside is clipped."""
    kind = np.uint16 if bits == 16 else np.uint8
    scaled = np.clip(array, 0, 1) * np.float32(np.iinfo(kind).max)
    return np.asarray(np.rint(scaled, out=scaled).astype(kind))


def to_float(samples: Samples) -> Floats:
    """Samples of 8 or 16 bits as float32 in [0,1]; floats as they are."""
    if samples.dtype.kind == "f":
        return np.asarray(samples, np.float32)
    return np.asarray(samples / np.float32(np.iinfo(samples.dtype).max), np.float32)


def resize(array: Floats, height: int, width: int) -> Floats:
    """Antialiased bicubic, (h,w) or (h,w,c) → (height,width[,c]), float32; it may overshoot.

    Keys' kernel with a = −0.5, stretched by the ratio when shrinking, its weights renormalised
    where it leaves the image: the rule of Pillow's BICUBIC.
    """
    # `resampled` is faster, by a BLAS whose sums differ in the last bits from one processor to
    # another: one LR sample in 30,000 would be rounded otherwise, and figures rest on LR images.
    rows = _resample(np.asarray(array, np.float32), height)
    columns = _resample(np.ascontiguousarray(rows.swapaxes(0, 1)), width)
    return np.ascontiguousarray(columns.swapaxes(0, 1))


def degrade(hr: Floats, scale: int) -> tuple[Floats, Floats]:
    """An HR image cropped to a multiple of `scale`, and its LR: shrunk, rounded to 8 bits.

    ValueError when the image is smaller than the scale.
    """
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if not height or not width:
        raise ValueError(f"{hr.shape[1]}x{hr.shape[0]} has no LR at scale {scale}")
    hr = hr[: height * scale, : width * scale]
    lr = quantize(resize(hr, height, width)).astype(np.float32) / np.float32(255)
    return hr, lr


def _resample(array: Floats, length: int) -> Floats:
    """Resample the first axis."""
    ratio = array.shape[0] / length
    stretch = max(ratio, 1.0)
    centre = (np.arange(length) + 0.5) * ratio
    first = np.maximum(np.floor(centre - 2 * stretch + 0.5), 0).astype(np.intp)
    last = np.minimum(np.floor(centre + 2 * stretch + 0.5), array.shape[0]).astype(np.intp)
    index = first[:, None] + np.arange((last - first).max())
    weights = keys((index + 0.5 - centre[:, None]) / stretch) * (index < last[:, None])
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    flat = array.reshape(array.shape[0], -1)
    out = np.zeros((length, flat.shape[1]), np.float32)
    tapped = np.empty_like(out)
    for tap in range(index.shape[1]):
        np.take(flat, index[:, tap], axis=0, out=tapped, mode="clip")
        tapped *= weights[:, tap, None]
        out += tapped
    return out.reshape(length, *array.shape[1:])
