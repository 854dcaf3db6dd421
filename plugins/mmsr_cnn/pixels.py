"""Tiles as features: every pixel of a small copy."""

from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import PluginError

MOST = 36
"""A bundle's router has 4096 features at most."""
PREFIX = "pixel_"


class Pixels(nn.Module):
    """Tiles (n,3,t,t) in [0,1] → their pixels (n, 3·side²), channel by channel, row by row.

    A larger tile is averaged down where its side is a multiple of `side`, otherwise scaled
    bilinearly. PluginError for a side that is not 4 to 36.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        if not 4 <= side <= MOST:
            raise PluginError(f"side {side}: pixels take a side of 4 to {MOST}")
        self.side = side
        self.names = tuple(f"{PREFIX}{index}" for index in range(3 * side**2))

    def forward(self, tiles: Tensor) -> Tensor:
        t = tiles.shape[-1]
        if t % self.side == 0:
            small = F.avg_pool2d(tiles, t // self.side) if t > self.side else tiles
        else:
            small = F.interpolate(tiles, size=(self.side, self.side), mode="bilinear")
        return small.flatten(1)


def side_of(names: tuple[str, ...]) -> int | None:
    """The side of the tiles whose pixels features of these names are; None for other features."""
    if not all(name.startswith(PREFIX) for name in names):
        return None
    side = round((len(names) / 3) ** 0.5)
    return side if len(names) == 3 * side**2 else None
