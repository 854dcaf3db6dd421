"""How many bits a code map takes, by a model that learns along with the transforms."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
"""(rows, columns) from a code to those that predict it, as the entropy coder has them."""
FIRST = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""And the same in the first channel, which predict those of all others."""
_BEFORE = 2
"""Channels before a code's own that tell how far off its prediction may be."""
_MARGIN = 2
_NARROWEST = 0.02
_RAREST = 1e-9
_GAIN = 50.0
"""How much faster these few numbers learn than the transforms, with which they share a rate."""


class Rate(nn.Module):
    """Code maps in steps (n,c,h,w) and which of the rates each has (n,) → bits (n,).

    A code follows a logistic distribution around a weighted sum of the codes to its left and
    above and those around its place in the first channel, as wide as those to its left and above
    are large, and those at its place in the two channels before: about what the entropy coder's
    integer contexts will know. Those codes are rounded, the code itself
    is shaken by half a step, for its gradient (Ballé et al. 2017).
    """

    def __init__(self, channels: int, rates: int) -> None:
        super().__init__()
        near = len(NEIGHBOURS)
        self.predict = nn.Parameter(torch.zeros(rates, channels, near))
        self.first = nn.Parameter(torch.zeros(rates, channels, len(FIRST)))
        self.spread = nn.Parameter(torch.full((rates, channels, near + _BEFORE), -2.0 / _GAIN))
        self.width = nn.Parameter(torch.full((rates, channels), -3.0 / _GAIN))

    def forward(self, steps: Tensor, rates: Tensor) -> Tensor:
        return self.lengths(steps, rates).sum((1, 2, 3))

    def lengths(self, steps: Tensor, rates: Tensor) -> Tensor:
        """The bits of each code, (n,c,h,w)."""
        shaken = steps + torch.rand_like(steps) - 0.5
        known = steps + (steps.round() - steps).detach()
        near, first = _shifted(known, NEIGHBOURS), _shifted(known[:, :1], FIRST)[:, 0]
        past = [F.pad(known, (0, 0, 0, 0, back, 0))[:, : steps.shape[1]] for back in (1, 2)]
        signs = torch.cat([near, torch.stack(past, 2)], 2).abs()
        predict, before, spread, width = (
            _GAIN * one[rates] for one in (self.predict, self.first, self.spread, self.width)
        )
        others = torch.einsum("nkhw,nck->nchw", first, before[:, 1:])
        expected = torch.einsum("nckhw,nck->nchw", near, predict) + F.pad(
            others, (0, 0, 0, 0, 1, 0)
        )
        width = F.softplus(width)[..., None, None] + _NARROWEST
        width = width + torch.einsum("nckhw,nck->nchw", signs, F.softplus(spread))
        off = -(shaken - expected).abs()
        share = torch.sigmoid((off + 0.5) / width) - torch.sigmoid((off - 0.5) / width)
        return -share.clamp(min=_RAREST).log2()


def _shifted(maps: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """(n,c,k,h,w): the codes that lie so far from each; beyond the borders lie zeros."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (_MARGIN,) * 4)
    places = [(_MARGIN + rows, _MARGIN + columns) for rows, columns in offsets]
    parts = [padded[..., top : top + height, left : left + width] for top, left in places]
    return torch.stack(parts, 2)
