"""spandrel's networks as upscalers: any size, RGB, an answer in [0,1]."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Upscaler(nn.Module):
    """(n,3,h,w) → (n,3,s·h,s·w) by a network that spandrel opened.

    Sides that it can't take are padded by repeating the border, and the answer is cut; one for
    grey pictures answers for each colour in turn.
    """

    def __init__(self, found: Any) -> None:
        """`found` is spandrel's ImageModelDescriptor."""
        super().__init__()
        self.model: nn.Module = found.model.eval().requires_grad_(False).float()
        self.scale: int = found.scale
        self.grey = found.input_channels == 1
        self.least: int = found.size_requirements.minimum
        self.multiple: int = found.size_requirements.multiple_of
        for part in self.model.modules():
            if hasattr(part, "update_params"):
                _merge_once(part)

    def forward(self, images: Tensor) -> Tensor:
        n, channels, height, width = images.shape
        x = images.reshape(n * channels, 1, height, width) if self.grey else images
        padded = self.least > 1 or self.multiple > 1
        if padded:
            x = F.pad(x, (0, self._missing(width), 0, self._missing(height)), mode="replicate")
        x = self.model(x.clone())  # RCAN multiplies what it is given in place
        x = (x[0] if isinstance(x, tuple) else x).clamp(0, 1)
        if padded:
            x = x[..., : height * self.scale, : width * self.scale]
        return x.reshape(n, channels, *x.shape[2:]) if self.grey else x

    def _missing(self, side: int) -> int:
        """Pixels to the next side that the network takes."""
        needed = torch.sym_max(side, self.least) if self.least > 1 else side
        return needed - side + -needed % self.multiple


def _merge_once(part: Any) -> None:
    """Merge a convolution of SPAN's for good.

    It merges its branches anew at every call, by writing into the weights of another convolution;
    torch's exporter crashes on that.
    """
    part.update_params()
    merged = part.eval_conv
    for name, value in list(merged.named_parameters()):
        setattr(merged, name, nn.Parameter(value.detach().clone().contiguous(), False))
    part.weight_concat = part.bias_concat = None
    part.update_params = _nothing


def _nothing() -> None:
    """In the place of what has been done."""
