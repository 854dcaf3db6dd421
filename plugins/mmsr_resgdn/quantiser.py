"""The uniform quantiser of B bits, a range of its own for every channel of every image (Eq. 4)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsr_core.errors import PluginError

MOST_BITS = 8


@dataclass(frozen=True)
class Grid:
    """Where the levels lie: code value = value·(level − zero), levels 0 to 2^B − 1.

    `step`, `value` and `zero` are (n,c,1,1) float32, `zero` holding integers. A code is rounded
    in units of `step`, and decoded in units of `value`; the paper has one for both.
    """

    bits: int
    step: Tensor
    value: Tensor
    zero: Tensor
    dead_zone: float = 0.0
    """Steps by which rounding leans to 0."""

    @classmethod
    @torch.no_grad()
    def of(cls, codes: Tensor, bits: int) -> "Grid":
        """The grid of code maps (n,c,h,w), from the least to the greatest value of each channel.

        The range includes 0, which always has a level of its own: the paper clips z, which loses
        the ends of a channel whose values all have one sign. A channel of zeros has step 1.
        PluginError unless bits is 1 to 8.
        """
        top = _top(bits)
        codes = codes.float()
        low = codes.amin((2, 3), keepdim=True).clamp(max=0)
        high = codes.amax((2, 3), keepdim=True).clamp(min=0)
        step = (high - low) / top
        step = torch.where(step > 0, step, 1.0)
        return cls(bits, step, step, (-low / step).round())

    @classmethod
    def fixed(cls, reach: float, bits: int, scales: Tensor, dead_zone: float = 0.0) -> "Grid":
        """The grid of every code map: from −reach to reach, times the `scales` (2,c) of a step and
        of its value."""
        top = _top(bits)
        step = 2 * reach / top
        zero = torch.tensor(reach / step, device=scales.device).round()
        steps, values = step * scales[:, None, :, None, None]
        return cls(bits, steps, values, zero.expand_as(steps), dead_zone)

    def levels(self, codes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Levels (n,c,h,w) as float32; `noise`, in [−½,½], makes the rounding stochastic."""
        scaled = F.softshrink(codes.float() / self.step, self.dead_zone)
        scaled = scaled if noise is None else scaled + noise
        return (scaled.round() + self.zero).clamp(0, 2**self.bits - 1)

    def values(self, levels: Tensor) -> Tensor:
        """Code values of levels."""
        return self.value * (levels - self.zero)


def _top(bits: int) -> int:
    if not 1 <= bits <= MOST_BITS:
        raise PluginError(f"{bits} bits a code; the quantiser takes 1 to {MOST_BITS}")
    return int(2**bits - 1)


def quantised(codes: Tensor, grid: Grid) -> Tensor:
    """Codes as the decoder sees them, rounded to the nearest level, which has the gradient of the
    identity."""
    return _through(codes, grid, None)


def stochastically(codes: Tensor, grid: Grid) -> Tensor:
    """Codes rounded up or down at random, right on average, with the gradient of the identity.

    The paper's ε lies in code units (§2.2); here it lies in steps, in which the expected rounding
    error is zero as the paper says it is. Levels beyond the ends are cut off.
    """
    return _through(codes, grid, torch.rand_like(codes, dtype=torch.float32) - 0.5)


def _through(codes: Tensor, grid: Grid, noise: Tensor | None) -> Tensor:
    exact = codes.float() / grid.step + grid.zero
    levels = exact + (grid.levels(codes, noise) - exact).detach()
    return grid.values(levels)
