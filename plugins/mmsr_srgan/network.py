"""SRGAN's generator (Ledig et al. 2017, figure 4), beside a long bilinear skip."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORMS = ("batch", "none")


class ResidualBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x))))), both convolutions 3×3."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, norm), nn.PReLU(), *_convolution(channels, norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class Generator(nn.Module):
    """(n,3,h,w) → (n,3,s·h,s·w) with `depth` residual blocks.

    `norm` is "batch", as in the paper, or "none". The original paints the whole image; this one
    adds to a bilinear enlargement, which costs nothing and spares short trainings the thousands
    of steps that it takes to pass colours through normalised features.
    """

    def __init__(self, depth: int, scale: int, channels: int, norm: str) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f'no norm "{norm}"; there are {", ".join(NORMS)}')
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(ResidualBlock(channels, norm) for _ in range(depth)))
        self.gather = nn.Sequential(*_convolution(channels, norm))
        growth: list[nn.Module] = []
        for step in [2, 2] if scale == 4 else [scale]:
            growth += [
                nn.Conv2d(channels, channels * step**2, 3, padding=1),
                nn.PixelShuffle(step),
                nn.PReLU(),
            ]
        self.grow = nn.Sequential(*growth)
        self.tail = nn.Conv2d(channels, 3, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.head(x)
        out = self.tail(self.grow(shallow + self.gather(self.body(shallow))))
        out = out + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return out if self.training else out.clamp(0, 1)


def _convolution(channels: int, norm: str) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    if norm == "batch":
        return [conv, nn.BatchNorm2d(channels)]
    with torch.no_grad():  # small, so that a deep stack without normalisation starts calm
        nn.init.kaiming_normal_(conv.weight).mul_(0.1)
    return [conv]
