"""Random crops of a batch, each resized to one side: the first step of a view."""

import math
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1)]
TRIES = 10
"""Shapes that the Inception-style crop draws before it takes the whole image."""


class Crop(BaseModel):
    """How a view's part of the image is drawn.

    - "uniform": sides of a share of the image's, drawn evenly from `low` to `high`; its aspect is
      the image's (the paper, section 3.1, whose range is 0.5 to 1).
    - "inception": an area of a share from `low` to `high`, usually 0.08 to 1, and an aspect drawn
      from 3/4 to 4/3 in logarithms.
    - "window": the view's own side, at whole pixels: nothing is resampled, so that sharpness and
      texture stay what they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["uniform", "inception", "window"] = "uniform"
    low: Share = 0.5
    high: Share = 1.0

    def boxes(self, count: int, stored: int, side: int, draws: torch.Generator) -> Tensor:
        """Boxes (n,4) of images of `stored` pixels a side: left, top, width, height, in pixels."""
        place = torch.rand(2, count, generator=draws, dtype=torch.float64)
        if self.kind == "window":
            corners = (place * (stored - side + 1)).floor()
            sides = torch.full((2, count), side, dtype=torch.float64)
            return torch.cat([corners, sides]).T
        if self.kind == "uniform":
            share = self._drawn(count, draws)
            sides = (share * stored).expand(2, count)
        else:
            sides = self._inception(count, draws) * stored
        return torch.cat([place * (stored - sides), sides]).T

    def _inception(self, count: int, draws: torch.Generator) -> Tensor:
        """Widths and heights (2,n) in shares of a side."""
        area = self._drawn(count * TRIES, draws).reshape(count, TRIES)
        draw = torch.rand(count, TRIES, generator=draws, dtype=torch.float64)
        aspect = torch.exp((2 * draw - 1) * math.log(4 / 3))
        sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()])
        fits = (sides <= 1).all(dim=0)
        first = fits.int().argmax(dim=1)
        found = sides[:, torch.arange(count), first]
        return torch.where(fits.any(dim=1), found, torch.ones_like(found))

    def _drawn(self, count: int, draws: torch.Generator) -> Tensor:
        drawn = torch.rand(count, generator=draws, dtype=torch.float64)
        return self.low + (self.high - self.low) * drawn


def cut(stored: Tensor, boxes: Tensor, side: int, mirrored: Tensor, turned: Tensor) -> Tensor:
    """The boxes of images (n,s,s,3) of 8 bits as (n,3,side,side) in [0,1], antialiased bilinear
    as Pillow's. All of them are on one device.

    `mirrored` and `turned` (n,) say which are flipped left to right and top to bottom.
    """
    images = stored.permute(0, 3, 1, 2).contiguous().float().div_(255)
    across = _weights(boxes[:, 0], boxes[:, 2], stored.shape[1], side)
    down = _weights(boxes[:, 1], boxes[:, 3], stored.shape[1], side)
    across = torch.where(mirrored.reshape(-1, 1, 1), across.flip(1), across)
    down = torch.where(turned.reshape(-1, 1, 1), down.flip(1), down)
    rows, columns = down.unsqueeze(1), across.unsqueeze(1)
    return torch.matmul(torch.matmul(rows, images), columns.transpose(2, 3))


def cut_windows(
    stored: Tensor, boxes: Tensor, side: int, mirrored: Tensor, turned: Tensor
) -> Tensor:
    """The same as `cut` for boxes of `side` pixels at whole pixels, which it copies."""
    places = torch.arange(side, device=stored.device)
    x = torch.where(mirrored.reshape(-1, 1), places.flip(0), places) + boxes[:, :1].long()
    y = torch.where(turned.reshape(-1, 1), places.flip(0), places) + boxes[:, 1:2].long()
    rows = torch.arange(len(stored), device=stored.device).reshape(-1, 1, 1)
    found = stored[rows, y.unsqueeze(2), x.unsqueeze(1)]
    return found.permute(0, 3, 1, 2).contiguous().float().div_(255)


def _weights(start: Tensor, length: Tensor, stored: int, side: int) -> Tensor:
    """What each of `side` pixels takes from `stored` ones: (n, side, stored), rows sum to 1."""
    step = (length / side).reshape(-1, 1, 1)
    places = torch.arange(side, device=start.device).reshape(1, -1, 1) + 0.5
    centres = start.reshape(-1, 1, 1) + step * places
    pixels = torch.arange(stored, device=start.device).reshape(1, 1, -1) + 0.5
    weights = (1 - (pixels - centres).abs() / step.clamp_min(1)).clamp_min(0)
    return weights / weights.sum(dim=2, keepdim=True)
