"""A code map as whole numbers, channel by channel (Eq. 4), and back."""

from collections.abc import Mapping
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
    scales: Floats | None = None
    """(2,c): by how much Δ is larger in coding, and in decoding. None: not at all."""

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

    @property
    def top(self) -> int:
        """The largest number."""
        return int(2**self.bits - 1)

    @property
    def step(self) -> npt.NDArray[np.float32]:
        """Δ (c,), before it is scaled."""
        width = self.high.astype(np.float32) - self.low.astype(np.float32)
        return np.asarray(np.where(width > 0, width / np.float32(self.top), np.float32(1)))

    def _scaled(self, which: int) -> Floats:
        """Δ (c,1,1) in coding (0) or in decoding (1)."""
        step = self.step if self.scales is None else self.step * self.scales[which]
        return np.asarray(step[:, None, None])

    @property
    def zero(self) -> npt.NDArray[np.int64]:
        """z (c,)."""
        zero = np.rint(-self.low.astype(np.float32) / self.step)
        return np.asarray(np.clip(zero, 0, self.top), np.int64)

    def places(self, codes: Floats) -> Floats:
        """Where codes (c,h,w) lie between the numbers, z being 0."""
        return np.asarray(codes / self._scaled(0), np.float32)

    def quantised(self, codes: Floats) -> npt.NDArray[np.int64]:
        """Codes (c,h,w) as the nearest numbers from 0 to `top`."""
        numbers = np.rint(self.places(codes)).astype(np.int64)
        return np.asarray(np.clip(numbers + self.zero[:, None, None], 0, self.top))

    def codes(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """What the decoder is given: Δ·(q − z), float32."""
        shifted = (numbers - self.zero[:, None, None]).astype(np.float32)
        return np.asarray(shifted * self._scaled(1), np.float32)


@dataclass(frozen=True)
class Rounding:
    """How a codec's codes become numbers; its tables rest on it."""

    reach: int | None = None
    """How far from 0 the levels of every channel go; None: as far as its codes in an image."""
    thrift: int = 0
    """What a bit is worth, in hundredths of a squared step. An encoder then takes the number next
    to the nearest where its bits save more than that; a decoder needn't know."""
    scales: Mapping[int, Floats] | None = None
    """Where there is a reach: by number of bits, see `Quantiser`."""

    def quantiser(self, bits: int, codes: Floats) -> Quantiser:
        """That of a code map (c,h,w); ValueError for codes that it doesn't hold."""
        if self.reach is None:
            return Quantiser.fitted(bits, codes)
        if not np.isfinite(codes).all():
            raise ValueError("its codes are not finite")
        return self.fixed(bits, len(codes))

    def fixed(self, bits: int, channels: int) -> Quantiser:
        """Where there is a reach, that of every code map."""
        high = np.full(channels, self.reach, np.float16)
        scales = None if self.scales is None else self.scales[bits]
        return Quantiser(bits, -high, high, scales)


NEAREST = Rounding()
"""The paper's."""
