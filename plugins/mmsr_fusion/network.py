"""Fusion of candidates as torch modules."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import PluginError

LUMA = (0.299, 0.587, 0.114)


class EdgeFusion(nn.Module):
    """Candidates (n,2,3,h,w) → fused (n,3,h,w): Algorithm 1 of the 2020 paper.

    Where the Sobel magnitude of candidate 1's grey (range [0,1], borders replicate) exceeds
    `threshold`, texture·SR1 + (1 − texture)·SR2; elsewhere smooth·SR1 + (1 − smooth)·SR2.
    Raises PluginError for weights outside [0,1] or a negative threshold.
    """

    luma: Tensor

    def __init__(self, threshold: float, smooth: float, texture: float) -> None:
        super().__init__()
        if threshold < 0 or not (0 <= smooth <= 1 and 0 <= texture <= 1):
            raise PluginError(
                f"edge fusion takes a threshold of 0 or more and weights in [0,1], not "
                f"threshold {threshold}, smooth {smooth}, texture {texture}"
            )
        self.threshold, self.smooth, self.texture = threshold, smooth, texture
        self.register_buffer("luma", torch.tensor(LUMA).reshape(1, 3, 1, 1))

    def forward(self, candidates: Tensor) -> Tensor:
        if candidates.shape[1] != 2:
            raise PluginError(f"edge fusion joins two candidates, not {candidates.shape[1]}")
        first, second = candidates[:, 0], candidates[:, 1]
        grey = (first * self.luma).sum(1, keepdim=True)
        edges = _sobel(F.pad(grey, (1, 1, 1, 1), mode="replicate"))
        weight = torch.where(edges > self.threshold, self.texture, self.smooth)
        return second + weight * (first - second)


class Mean(nn.Module):
    """Candidates (n,k,3,h,w) → their mean (n,3,h,w)."""

    def forward(self, candidates: Tensor) -> Tensor:
        return candidates.mean(1)


def _sobel(padded: Tensor) -> Tensor:
    across = padded[:, :, :, 2:] - padded[:, :, :, :-2]
    smooth = padded[:, :, :, 2:] + 2 * padded[:, :, :, 1:-1] + padded[:, :, :, :-2]
    gx = across[:, :, 2:] + 2 * across[:, :, 1:-1] + across[:, :, :-2]
    gy = smooth[:, :, 2:] - smooth[:, :, :-2]
    return (gx * gx + gy * gy).sqrt()
