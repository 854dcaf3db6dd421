"""A linear transform of blocks of 8×8 pixels, as JPEG has: the network learns beside it."""

import math

import torch
from torch import Tensor, nn

FACTOR = 8
"""Pixels per code, along each side."""
BLOCK_REACH = 14
"""No coefficient of pixels in [-1,1] is larger: that of a white block is 8·√3."""
_COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""Brightness and two differences, at right angles."""
_COLOUR_RANK = 4
"""How much lower than brightness of the same frequency a colour difference ranks."""


class ToBlocks(nn.Module):
    """(n,3,h,w) → coefficients (n,c,h/8,w/8), to begin with those of the DCT that matter most."""

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, codes, FACTOR, stride=FACTOR)
        with torch.no_grad():
            self.conv.weight.copy_(dct(codes))
            nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class FromBlocks(nn.Module):
    """Its inverse: coefficients (n,c,h,w) → (n,3,8h,8w)."""

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(codes, 3 * FACTOR**2, 1)
        self.shuffle = nn.PixelShuffle(FACTOR)
        with torch.no_grad():
            self.conv.weight.copy_(dct(codes).flatten(1).T[..., None, None])
            nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shuffle(self.conv(x))
        return out


def dct(codes: int) -> Tensor:
    """The first patterns (codes,3,8,8) of 192 that span a block, orthonormal; low frequencies
    first, brightness before colour."""
    places = torch.arange(FACTOR)
    waves = torch.cos(math.pi / FACTOR * (places + 0.5) * places[:, None])
    waves = waves / waves.norm(dim=1, keepdim=True)
    colours = torch.tensor(_COLOURS)
    colours = colours / colours.norm(dim=1, keepdim=True)
    patterns = torch.einsum("kc,uy,vx->kuvcyx", colours, waves, waves)
    u, v = places[:, None], places
    power = 1 + u.square() + v.square()
    rank = torch.stack([power, _COLOUR_RANK * power, _COLOUR_RANK * power])
    order = rank.flatten().argsort(stable=True)[:codes]
    return patterns.flatten(0, 2)[order]
