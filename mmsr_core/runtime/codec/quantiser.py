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

    @classmethod
    def fitted(cls, bits: int, codes: Floats) -> Self:
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
        return cls(bits, low, high)

    @classmethod
    def fixed(cls, bits: int, channels: int, reach: int) -> Self:
        """The quantiser of every code map, from −`reach` to `reach` in each channel."""
        high = np.full(channels, reach, np.float16)
        return cls(bits, -high, high)

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
        numbers = np.rint(codes / self.step[:, None, None]).astype(np.int64)
        return np.asarray(np.clip(numbers + self.zero[:, None, None], 0, self.top))

    def codes(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """What the decoder is given: Δ·(q − z), float32."""
        shifted = (numbers - self.zero[:, None, None]).astype(np.float32)
        return np.asarray(shifted * self.step[:, None, None], np.float32)
