"""What is known of a number before it is decoded: a prediction, and how far to trust it.

Everything here is computed in whole numbers, so encoder and decoder agree wherever they run. The
numbers of a code map are visited in waves: all whose neighbours to the left and above, and whose
places in the channels before, are known already. A wave is predicted at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
"""(rows, columns) from a number to those that predict it: W, N, NW, NE, WW, NN."""
FIRST = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""The same in the first channel, for all others: C, W, E, N, S. Where that holds the blocks' means,
it foretells their slopes."""
PREDICTORS = len(NEIGHBOURS) + len(FIRST)
_DIFFERENCES = ((0, 2), (1, 2), (1, 3), (0, 4), (1, 5))
"""Pairs of them whose difference tells how busy the place is."""
_MISSES = ((0, 0, -1), (0, -1, 0), (0, -1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0))
"""(channels back, rows, columns) of the misses that tell it too."""
SIGNS = len(_DIFFERENCES) + 2 + len(_MISSES)
SHIFT = 10
"""Weights are in units of 2^-10."""
_MARGIN = 2
_BEFORE = 2
_LAG = 3
"""Waves by which a channel follows the one before: its numbers to the right and below are known."""


def fineness(bits: int) -> int:
    """Steps between two numbers that a prediction tells apart."""
    return {1: 32, 2: 16, 3: 8, 4: 8, 5: 4, 6: 4, 7: 2}.get(bits, 1)


@dataclass(frozen=True)
class Weights:
    """Of one number of bits: `predict` (c,11) for the neighbours and the first channel, `spread`
    (c,14) for the signs of a miss, `thresholds` (k−1,), rising, between the k kinds of place.
    Integers; `used` (c,) says which channels are coded: all numbers of the others stand for 0."""

    predict: Int64
    spread: Int64
    thresholds: Int64
    used: npt.NDArray[np.bool_]


class Plane:
    """A code map around which, and before whose first channel, lie zeros.

    Values are distances from the zero point, misses those from the prediction, both in fine
    steps. Channels that are not `used` (c,) stay 0, and nobody visits them.
    """

    def __init__(
        self, size: tuple[int, ...], bits: int, zero: Int64, used: npt.NDArray[np.bool_]
    ) -> None:
        channels, height, width = size
        shape = (channels + _BEFORE, height + 2 * _MARGIN, width + 2 * _MARGIN)
        self._values = np.zeros(shape, np.int64)
        self._misses = np.zeros(shape, np.int64)
        self._flat, self._flat_misses = self._values.reshape(-1), self._misses.reshape(-1)
        self._fine, self._zero = fineness(bits), zero
        self._top = (2**bits - 1) * self._fine
        stride = shape[2]
        plane = shape[1] * stride
        self._near = np.array([rows * stride + columns for rows, columns in NEIGHBOURS])
        self._first = np.array([rows * stride + columns for rows, columns in FIRST])
        self._plane = plane
        self._missed = np.array(
            [rows * stride + columns - back * plane for back, rows, columns in _MISSES]
        )
        places = np.flatnonzero(np.repeat(used, height * width))
        c, y, x = np.unravel_index(places, (channels, height, width))
        waves = x + 2 * y + _LAG * c
        order = np.argsort(waves, kind="stable")
        self._order = places[order]
        self.channel: npt.NDArray[np.int64] = c[order]
        self._at = (c * plane + y * stride + x)[order]
        self._at += _BEFORE * plane + _MARGIN * (stride + 1)
        waves = np.bincount(waves)
        self.waves = waves[waves > 0]

    def parts(self) -> Iterator[slice]:
        """The waves, as parts of the order in which the numbers are visited."""
        last = np.cumsum(self.waves)
        return map(slice, (last - self.waves).tolist(), last.tolist())

    def ordered(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (c,h,w) in the order of the waves."""
        return np.asarray(values.reshape(-1)[self._order])

    def fill(self, numbers: Int64) -> Int64:
        """Put all numbers (c,h,w) in; they come back in the order of the waves."""
        inner = self._values[_BEFORE:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        inner[:] = (numbers - self._zero[:, None, None]) * self._fine
        return self.ordered(numbers)

    def put(self, part: slice, numbers: Int64, prediction: Int64) -> None:
        """Put a part's numbers in, and how far off their prediction was."""
        at = self._at[part]
        self._flat[at] = (numbers - self._zero[self.channel[part]]) * self._fine
        self._flat_misses[at] = np.abs(numbers * self._fine - prediction)

    def numbers(self) -> Int64:
        """All numbers (c,h,w)."""
        inner = self._values[_BEFORE:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        return np.asarray(inner // self._fine + self._zero[:, None, None])

    def neighbours(self, part: slice) -> Int64:
        """(n,11) values around a part's numbers; of the first channel 0 where it is its own."""
        at, channel = self._at[part, None], self.channel[part, None]
        first = self._flat[at - channel * self._plane + self._first]
        return np.hstack([self._flat[at + self._near], np.where(channel > 0, first, 0)])

    def signs(self, part: slice, near: Int64) -> Int64:
        """(n,14) of what a part's misses grow with."""
        found = np.empty((len(near), SIGNS), np.int64)
        for index, (one, other) in enumerate(_DIFFERENCES):
            found[:, index] = near[:, one] - near[:, other]
        first = len(_DIFFERENCES)
        found[:, first : first + 2] = near[:, :2]
        found[:, first + 2 :] = self._flat_misses[self._at[part, None] + self._missed]
        return np.asarray(np.abs(found, out=found))

    def predicted(self, part: slice, near: Int64, weights: Weights) -> Int64:
        """(n,) predictions in fine steps from the least number."""
        channel = self.channel[part]
        offset = (near * weights.predict[channel]).sum(1) + (1 << SHIFT - 1) >> SHIFT
        return np.asarray(np.clip(self._zero[channel] * self._fine + offset, 0, self._top))

    def kinds(self, part: slice, near: Int64, weights: Weights) -> Int64:
        """(n,) the kind of each place."""
        spread = (self.signs(part, near) * weights.spread[self.channel[part]]).sum(1)
        return np.asarray(np.searchsorted(weights.thresholds, spread, side="right"))
