"""How many bits a code map takes, by a model that learns along with the transforms."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
"""(rows, columns) from a code to those that predict it, as the entropy coder has them."""
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
    above, as wide as those are large, and those at its place in the two channels before: about
    what the entropy coder's integer contexts will know. Those codes are rounded, the code itself
    is shaken by half a step, for its gradient (Ballé et al. 2017).
    """

    def __init__(self, channels: int, rates: int) -> None:
        super().__init__()
        near = len(NEIGHBOURS)
        self.predict = nn.Parameter(torch.zeros(rates, channels, near))
        self.spread = nn.Parameter(torch.full((rates, channels, near + _BEFORE), -2.0 / _GAIN))
        self.width = nn.Parameter(torch.full((rates, channels), -3.0 / _GAIN))

    def forward(self, steps: Tensor, rates: Tensor) -> Tensor:
        return self.lengths(steps, rates).sum((1, 2, 3))

    def lengths(self, steps: Tensor, rates: Tensor) -> Tensor:
        """The bits of each code, (n,c,h,w)."""
        shaken = steps + torch.rand_like(steps) - 0.5
        known = steps + (steps.round() - steps).detach()
        near = _shifted(known)
        before = [F.pad(known, (0, 0, 0, 0, back, 0))[:, : steps.shape[1]] for back in (1, 2)]
        signs = torch.cat([near, torch.stack(before, 2)], 2).abs()
        predict, spread, width = (
            _GAIN * one[rates] for one in (self.predict, self.spread, self.width)
        )
        expected = torch.einsum("nckhw,nck->nchw", near, predict)
        width = F.softplus(width)[..., None, None] + _NARROWEST
        width = width + torch.einsum("nckhw,nck->nchw", signs, F.softplus(spread))
        off = -(shaken - expected).abs()
        share = torch.sigmoid((off + 0.5) / width) - torch.sigmoid((off - 0.5) / width)
        return -share.clamp(min=_RAREST).log2()


def _shifted(maps: Tensor) -> Tensor:
    """(n,c,6,h,w): every code's neighbours; beyond the borders lie zeros."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (_MARGIN, _MARGIN, _MARGIN, 0))
    places = [(_MARGIN + rows, _MARGIN + columns) for rows, columns in NEIGHBOURS]
    parts = [padded[..., top : top + height, left : left + width] for top, left in places]
    return torch.stack(parts, 2)
