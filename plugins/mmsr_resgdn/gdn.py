"""Generalised divisive normalisation and its inverse, in a form that half precision can hold."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHRINK = 8.0
"""What a value is divided by before it is squared."""
LEAST_BETA = 1 / 16
LARGEST = 32.0
"""What an inverse normalisation takes a larger value for."""
_PEDESTAL = 2.0**-18


class _AtLeast(torch.autograd.Function):
    """max(x, bound) whose gradient still lets a value below the bound rise."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound  # type: ignore[attr-defined]
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        passes = (x >= ctx.bound) | (grads[0] < 0)  # type: ignore[attr-defined]
        return grads[0] * passes, None


class _Squared(nn.Module):
    """A parametrisation: root → root² − pedestal, never below `least`, and `more` on top of it."""

    def __init__(self, least: float, more: Tensor | None = None) -> None:
        super().__init__()
        self.bound = (least + _PEDESTAL) ** 0.5
        self.more: Tensor
        self.register_buffer("more", torch.zeros(()) if more is None else more, persistent=False)

    def forward(self, root: Tensor) -> Tensor:
        bounded: Tensor = _AtLeast.apply(root, self.bound)  # type: ignore[no-untyped-call]
        return bounded.square() - _PEDESTAL + self.more

    def right_inverse(self, value: Tensor) -> Tensor:
        """The root of a value ≥ the bound."""
        return (value - self.more + _PEDESTAL).clamp(min=self.bound**2).sqrt()


class GDN(nn.Module):
    """x_i / √(β_i + Σ_j γ_ij x_j²), (n,c,h,w) → (n,c,h,w) (Eq. 2).

    Computed as u / √(β/64 + γ·u²) with u = x/8, which is the same number: fp16 holds the squares
    up to |x| = 2047 and the sum up to 4.2 million; β ≥ 1/16 keeps the sum away from fp16's
    smallest numbers, and the gain below 4. β and γ ≥ 0 are squares of what training moves, with
    a pedestal so that a γ of 0 still has a gradient (Ballé et al. 2016).

    With a `reach`, every γ_ii is at least 1/reach²: then no answer is larger.
    """

    inverse = False

    def __init__(self, channels: int, reach: float = math.inf) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(channels))
        more = reach**-2 * torch.eye(channels)
        self.gamma = nn.Parameter(0.1 * torch.eye(channels) + more)
        nn.utils.parametrize.register_parametrization(self, "beta", _Squared(LEAST_BETA))
        nn.utils.parametrize.register_parametrization(self, "gamma", _Squared(0.0, more))

    def forward(self, x: Tensor) -> Tensor:
        if self.inverse:
            x = x.clamp(-LARGEST, LARGEST)
        small = x / SHRINK
        power = F.conv2d(small.square(), self.gamma[:, :, None, None], self.beta / SHRINK**2)
        return x * (SHRINK * power.sqrt()) if self.inverse else small * power.rsqrt()


class IGDN(GDN):
    """x_i · √(β_i + Σ_j γ_ij x_j²), GDN's approximate inverse (Eq. 5), computed alike.

    Values beyond ±32 count as that: coarse rounding makes outliers, and eleven inverses in a row
    raise one to the power of two thousand.
    """

    inverse = True
