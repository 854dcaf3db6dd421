"""Antialiased bicubic resampling of rows that come from top to bottom: rows in, rows out."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Floats

ROWS = 32
"""Output rows that are made at a time, half as many when shrinking: more waste multiplications by
zero, fewer waste calls."""
COLUMNS = 32
"""Output columns that one matrix product makes, for the same reasons."""
HELD = 400
"""Rows of three channels, as long as the longer of input and output, that it holds: measured."""
PRODUCT = 2**17
"""Multiplications of one matrix product at most: for so few a BLAS starts no threads, which would
wait for each other longer than they work."""


@dataclass(frozen=True)
class _Block:
    """Outputs `start` to `stop` as `weights` (outputs, inputs) · inputs `first` to `last`."""

    start: int
    stop: int
    first: int
    last: int
    weights: Floats


def resampled(
    strips: Iterator[Floats], height: int, width: int, new_height: int, new_width: int
) -> Iterator[Floats]:
    """Resample an image, (height,width) or (height,width,c), that comes in strips of its rows.

    Yields float32 rows, (n,new_width[,c]), from top to bottom; they may overshoot what went in.
    Keys' kernel with a = −0.5, stretched by the ratio when shrinking, its weights renormalised
    where it leaves the image: the rule of Pillow's BICUBIC. How the rows are cut into strips
    changes no bit. The rows that a few output rows look at are held, and nothing else.
    """
    reader = Reader(strips)
    across = list(_blocks(width, new_width, COLUMNS))
    held: Floats | None = None
    top = bottom = 0
    for block in _blocks(height, new_height, ROWS if new_height > height else ROWS // 2):
        fresh = reader.take(block.last - bottom)
        parts = [] if held is None else [held[block.first - top :]]
        if len(fresh):
            parts.append(_columns(fresh, across))
        held = np.concatenate(parts)
        top, bottom = block.first, block.last
        made = _product(block.weights, held.reshape(len(held), -1))
        by_channel = made.reshape(-1, *held.shape[1:]).swapaxes(0, 1)
        rows = np.asarray(cv2.merge(list(by_channel)), np.float32)
        yield rows.reshape(-1, new_width, *fresh.shape[2:])


def memory_needed(width: int, new_width: int) -> int:
    """Bytes that `resampled` holds for rows of colour of this width."""
    return 12 * HELD * max(width, new_width)


def _blocks(length: int, new: int, size: int) -> Iterator[_Block]:
    """What makes `new` samples of `length`, so many at a time."""
    ratio = length / new
    stretch = max(ratio, 1.0)
    for start in range(0, new, size):
        stop = min(new, start + size)
        centre = (np.arange(start, stop)[:, None] + 0.5) * ratio
        first = np.maximum(np.floor(centre - 2 * stretch + 0.5), 0)
        last = np.minimum(np.floor(centre + 2 * stretch + 0.5), length)
        index = np.arange(int(first[0, 0]), int(last[-1, 0]))
        weights = keys((index + 0.5 - centre) / stretch) * ((index >= first) & (index < last))
        weights /= weights.sum(axis=1, keepdims=True)
        yield _Block(start, stop, int(index[0]), int(index[-1]) + 1, weights.astype(np.float32))


def keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel, a = −0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _columns(rows: Floats, blocks: list[_Block]) -> Floats:
    """Rows (n,w[,c]) resampled along their width, as planes (n,c,new width)."""
    planes = np.stack(cv2.split(rows), axis=1)
    flat = planes.reshape(-1, planes.shape[2])
    out = np.empty((len(flat), blocks[-1].stop), np.float32)
    for block in blocks:
        weights = np.ascontiguousarray(block.weights.T)
        some = max(1, PRODUCT // weights.size)
        for top in range(0, len(flat), some):
            part = slice(top, top + some)
            given, made = flat[part, block.first : block.last], out[part, block.start : block.stop]
            np.matmul(given, weights, out=made)
    return out.reshape(*planes.shape[:2], -1)


def _product(weights: Floats, rows: Floats) -> Floats:
    """`weights` · `rows`, in parts that stay in the cache."""
    out = np.empty((len(weights), rows.shape[1]), np.float32)
    some = max(16, PRODUCT // weights.size)
    for left in range(0, rows.shape[1], some):
        part = slice(left, left + some)
        np.matmul(weights, rows[:, part], out=out[:, part])
    return out


class Reader:
    """Takes as many rows as are needed from strips of any height."""

    def __init__(self, strips: Iterator[Floats]) -> None:
        """Nothing is taken yet."""
        self._strips = strips
        self._left: Floats | None = None

    def take(self, rows: int) -> Floats:
        """The next so many rows; ValueError when the image ends before."""
        parts = [] if self._left is None else [self._left]
        found = sum(map(len, parts))
        while found < rows or not parts:
            strip = next(self._strips, None)
            if strip is None:
                raise ValueError(f"the image ends {rows - found} rows too early")
            parts.append(np.asarray(strip, np.float32))
            found += len(strip)
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._left = whole[rows:]
        return whole[:rows]
