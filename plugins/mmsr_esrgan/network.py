"""ESRGAN's generator, RRDBNet (Wang et al. 2018, section 3.1), beside a long bilinear skip."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARE = 0.2
"""Residual scaling β of the paper: how much of its residual a block adds."""


class DenseBlock(nn.Module):
    """Five 3×3 convolutions, each of which sees the answers of all before it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            _calm(nn.Conv2d(channels + place * growth, growth, 3, padding=1)) for place in range(4)
        )
        self.last = _calm(nn.Conv2d(channels + 4 * growth, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in self.convs:
            seen = torch.cat([seen, F.leaky_relu(conv(seen), 0.2)], dim=1)
        out: Tensor = x + SHARE * self.last(seen)
        return out


class ResidualInResidual(nn.Module):
    """The paper's basic block, RRDB: x + β·(three dense blocks in a row)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + SHARE * self.blocks(x)
        return out


class Generator(nn.Module):
    """(n,3,h,w) → (n,3,s·h,s·w) with `depth` RRDBs; growth is nearest neighbour + convolution.

    Beside the paper's network runs a bilinear enlargement, to which it adds: short trainings
    then begin at an image.
    """

    def __init__(self, depth: int, scale: int, channels: int, growth: int) -> None:
        super().__init__()
        self.scale = scale
        self.steps = [2, 2] if scale == 4 else [scale]
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualInResidual(channels, growth) for _ in range(depth)))
        self.gather = nn.Conv2d(channels, channels, 3, padding=1)
        self.grow = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in self.steps)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(x)
        out = out + self.gather(self.body(out))
        for step, conv in zip(self.steps, self.grow, strict=True):
            out = F.leaky_relu(conv(F.interpolate(out, scale_factor=step, mode="nearest")), 0.2)
        out = self.tail(F.leaky_relu(self.refine(out), 0.2))
        out = out + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return out if self.training else out.clamp(0, 1)


def _calm(conv: nn.Conv2d) -> nn.Conv2d:
    """With initial weights a tenth of He's, as in the paper's supplement."""
    with torch.no_grad():
        nn.init.kaiming_normal_(conv.weight).mul_(0.1)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
