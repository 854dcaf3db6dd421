"""A code map as whole numbers, channel by channel (Eq. 4), and back."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Floats

MOST_BITS = 8


@dataclass(frozen=True)
class Quantiser:
    """B bits for each channel between its least and its greatest code, 0 being between them, or
    between bounds that all images share.

    `low` ≤ 0 and `high` ≥ 0 (c,) are float16, as a file holds them; what is computed from them
    is float32. The number z stands for 0 exactly, and a channel of nothing else has Δ = 1.
    """

    bits: int
    low: npt.NDArray[np.float16]
    high: npt.NDArray[np.float16]
    dead_zone: int = 0
    """Hundredths of a step by which rounding leans to 0; a decoder needn't know."""

    @classmethod
    def fitted(cls, bits: int, codes: Floats, dead_zone: int = 0) -> Self:
        """The quantiser of this code map (c,h,w), its bounds rounded outwards.

        ValueError for codes that float16 doesn't hold, or that are not finite.
        """
        least, greatest = codes.min((1, 2)), codes.max((1, 2))
        if not (np.abs([least, greatest]) < 65000).all():
            raise ValueError("its codes are not finite, or too large")
        least, greatest = np.minimum(least, 0), np.maximum(greatest, 0)
        low, high = least.astype(np.float16), greatest.astype(np.float16)
        low = np.where(low > least, np.nextafter(low, np.float16(-np.inf)), low)
        high = np.where(high < greatest, np.nextafter(high, np.float16(np.inf)), high)
        return cls(bits, low, high, dead_zone)

    @property
    def top(self) -> int:
        """The largest number."""
        return int(2**self.bits - 1)

    @property
    def step(self) -> npt.NDArray[np.float32]:
        """Δ (c,)."""
        width = self.high.astype(np.float32) - self.low.astype(np.float32)
        return np.asarray(np.where(width > 0, width / np.float32(self.top), np.float32(1)))

    @property
    def zero(self) -> npt.NDArray[np.int64]:
        """z (c,)."""
        zero = np.rint(-self.low.astype(np.float32) / self.step)
        return np.asarray(np.clip(zero, 0, self.top), np.int64)

    def quantised(self, codes: Floats) -> npt.NDArray[np.int64]:
        """Codes (c,h,w) as numbers from 0 to `top`."""
        steps = codes / self.step[:, None, None]
        if self.dead_zone:
            nearer = np.maximum(np.abs(steps) - np.float32(self.dead_zone / 100), 0)
            steps = np.copysign(nearer, steps)
        numbers = np.rint(steps).astype(np.int64)
        return np.asarray(np.clip(numbers + self.zero[:, None, None], 0, self.top))

    def codes(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """What the decoder is given: Δ·(q − z), float32."""
        shifted = (numbers - self.zero[:, None, None]).astype(np.float32)
        return np.asarray(shifted * self.step[:, None, None], np.float32)


@dataclass(frozen=True)
class Rounding:
    """How a codec's codes become numbers; its tables rest on it."""

    reach: int | None = None
    """How far from 0 the levels of every channel go; None: as far as its codes in an image."""
    dead_zone: int = 0
    """See `Quantiser`. Small codes cost more bits than they are worth."""

    def quantiser(self, bits: int, codes: Floats) -> Quantiser:
        """That of a code map (c,h,w); ValueError for codes that it doesn't hold."""
        if self.reach is None:
            return Quantiser.fitted(bits, codes, self.dead_zone)
        if not np.isfinite(codes).all():
            raise ValueError("its codes are not finite")
        return self.fixed(bits, len(codes))

    def fixed(self, bits: int, channels: int) -> Quantiser:
        """Where there is a reach, that of every code map."""
        high = np.full(channels, self.reach, np.float16)
        return Quantiser(bits, -high, high, self.dead_zone)


NEAREST = Rounding()
"""The paper's."""
