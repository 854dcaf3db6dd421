"""The uniform quantiser of B bits, a range of its own for every channel of every image (Eq. 4)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmsr_core.errors import PluginError

MOST_BITS = 8


@dataclass(frozen=True)
class Grid:
    """Where the levels lie: code value = step·(level − zero), levels 0 to 2^B − 1.

    `step` and `zero` are (n,c,1,1) float32, `zero` holding integers.
    """

    bits: int
    step: Tensor
    zero: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, codes: Tensor, bits: int, reach: float | None = None) -> "Grid":
        """The grid of code maps (n,c,h,w), from the least to the greatest value of each channel,
        or with a `reach` from −reach to reach.

        The range includes 0, which always has a level of its own: the paper clips z, which loses
        the ends of a channel whose values all have one sign. A channel of zeros has step 1.
        PluginError unless bits is 1 to 8.
        """
        if not 1 <= bits <= MOST_BITS:
            raise PluginError(f"{bits} bits a code; the quantiser takes 1 to {MOST_BITS}")
        codes = codes.float()
        low = codes.amin((2, 3), keepdim=True).clamp(max=0)
        high = codes.amax((2, 3), keepdim=True).clamp(min=0)
        if reach is not None:
            low, high = torch.full_like(low, -reach), torch.full_like(high, reach)
        step = (high - low) / (2**bits - 1)
        step = torch.where(step > 0, step, 1.0)
        return cls(bits, step, (-low / step).round())

    def levels(self, codes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Levels (n,c,h,w) as float32; `noise`, in [−½,½], makes the rounding stochastic."""
        scaled = codes.float() / self.step
        scaled = scaled if noise is None else scaled + noise
        return (scaled.round() + self.zero).clamp(0, 2**self.bits - 1)

    def values(self, levels: Tensor) -> Tensor:
        """Code values of levels."""
        return self.step * (levels - self.zero)


def quantised(codes: Tensor, grid: Grid) -> Tensor:
    """Codes as the decoder sees them, rounded to the nearest level, with the gradient of the
    identity."""
    hard = grid.values(grid.levels(codes.detach()))
    return codes + (hard - codes).detach()


def stochastically(codes: Tensor, grid: Grid) -> Tensor:
    """Codes rounded up or down at random, right on average, with the gradient of the identity.

    The paper's ε lies in code units (§2.2); here it lies in steps, in which the expected rounding
    error is zero as the paper says it is. Levels beyond the ends are cut off.
    """
    noise = torch.rand_like(codes, dtype=torch.float32) - 0.5
    hard = grid.values(grid.levels(codes.detach(), noise))
    return codes + (hard - codes).detach()
