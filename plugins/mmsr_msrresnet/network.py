"""The modified SRResNet: no batch normalisation, leaky activations, a long bilinear skip."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3×3, initialised small so that a deep stack starts calm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for conv in (self.first, self.second):
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class MSRResNet(nn.Module):
    """(n,3,h,w) → (n,3,s·h,s·w) with `depth` residual blocks and two convolutions at HR size."""

    def __init__(self, depth: int, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        steps = [2, 2] if scale == 4 else [scale]
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
        self.grow = nn.ModuleList(
            nn.Conv2d(channels, channels * step**2, 3, padding=1) for step in steps
        )
        self.shuffles = nn.ModuleList(nn.PixelShuffle(step) for step in steps)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(F.leaky_relu(self.head(x), 0.1))
        for conv, shuffle in zip(self.grow, self.shuffles, strict=True):
            out = F.leaky_relu(shuffle(conv(out)), 0.1)
        out = self.tail(F.leaky_relu(self.refine(out), 0.1))
        out = out + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return out if self.training else out.clamp(0, 1)
