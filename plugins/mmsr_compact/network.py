"""A network whose every convolution runs at LR size, beside a linear upsampler."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def cubic_kernel(scale: int) -> Tensor:
    """Weights (s², 5, 5) of bicubic enlargement (a = −0.5), one kernel per sub-pixel.

    Output sub-pixel p of an axis has its centre at (p + ½)/s − ½ from that of its input pixel.
    A cubic reaches four input pixels; for every p they are among the five around that one.
    """
    offsets = torch.arange(-2, 3, dtype=torch.float64)
    centres = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    x = (centres[:, None] - offsets).abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    taps = torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
    return (taps[:, None, :, None] * taps[None, :, None, :]).reshape(-1, 5, 5).float()


class Upsampler(nn.Module):
    """A 5×5 convolution (n,3,h,w) → (n,3·s²,h,w), channels in PixelShuffle order.

    It starts as bicubic enlargement, and learns from there when trained. Borders replicate.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * scale**2, 5, bias=False)
        weight = torch.zeros(3, scale**2, 3, 5, 5)
        for channel in range(3):
            weight[channel, :, channel] = cubic_kernel(scale)
        self.conv.weight = nn.Parameter(weight.reshape(-1, 3, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
        # The image itself passes here: half precision would cost it its low bits.
        mixed = torch.is_autocast_enabled(x.device.type)
        with torch.autocast(x.device.type, enabled=False) if mixed else nullcontext():
            out: Tensor = self.conv(padded)
        return out


class ResidualPair(nn.Module):
    """x + conv(relu(conv(x))), both convolutions 3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class Compact(nn.Module):
    """(n,3,h,w) → (n,3,s·h,s·w): `depth` residual pairs add detail to a linear upsampler."""

    def __init__(self, depth: int, scale: int, channels: int) -> None:
        super().__init__()
        self.upsampler = Upsampler(scale)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualPair(channels) for _ in range(depth)))
        self.tail = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        nn.init.zeros_(self.tail.weight)  # training starts at bicubic
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out = self.upsampler(x) + self.tail(self.body(F.relu(self.head(x))))
        if not self.training:
            out = out.clamp(0, 1)  # no gradient dies in training
        return self.shuffle(out)  # type: ignore[no-any-return]


class Bicubic(nn.Module):
    """Bicubic enlargement (a = −0.5, borders replicate), without anything to learn."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.upsampler = Upsampler(scale).requires_grad_(False)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.upsampler(x).clamp(0, 1))  # type: ignore[no-any-return]
