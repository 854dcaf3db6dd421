"""Metrics that are networks or forests of others, opened where their packages are installed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mmsr_core.errors import PluginError
from mmsr_core.runtime.image import quantize

if TYPE_CHECKING:
    from torch import Tensor

    from mmsr_core.runtime.tiles import Floats

Measure = Callable[..., float]
LEAST = 64
"""Shorter sides leave AlexNet's pooling, or Ma's blocks, nothing to look at."""


def open_lpips() -> Measure:
    """LPIPS on AlexNet (Zhang et al. 2018), by torchmetrics; torchvision fetches the weights once.

    PluginError when a package or the weights are not there.
    """
    try:
        import torch
        import torchvision  # noqa: F401  (torchmetrics builds AlexNet with it)
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ModuleNotFoundError as error:
        raise PluginError(
            f"lpips needs {error.name}, which is not installed; pip install 'mmsr[metrics]'"
        ) from None
    except (ImportError, RuntimeError) as error:  # a torchvision of another torch
        raise PluginError(f"lpips: torchvision does not load beside this torch ({error})") from None
    try:
        network = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()
    except (OSError, RuntimeError) as error:
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise PluginError(
            f"lpips: torchvision cannot fetch AlexNet's weights ({error}); "
            f"put alexnet-owt-7be5be79.pth into {folder}"
        ) from None

    def measure(sr: Floats, hr: Floats, border: int) -> float:
        first, second = _batch(sr, border), _batch(hr, border)
        if min(first.shape[2:]) < LEAST:
            return math.nan
        with torch.inference_mode():
            score = network(first, second)
        network.reset()
        return float(score)

    return measure


def open_ma() -> Measure:
    """Ma's score (Ma et al. 2017), by pyiqa, 0 to 10; PluginError when pyiqa is not there."""
    try:
        import pyiqa
        import torch
    except ImportError:
        raise PluginError(
            "ma needs pyiqa, which mmsr never installs: its licence, PolyForm Noncommercial, "
            "forbids commercial use; if that suits you, pip install pyiqa"
        ) from None
    try:
        network = pyiqa.create_metric("nrqm", device=torch.device("cpu"))
    except (OSError, RuntimeError) as error:
        raise PluginError(f"ma: pyiqa cannot open its nrqm ({error})") from None

    def measure(sr: Floats, hr: Floats | None, border: int) -> float:
        batch = _batch(sr, border)
        if min(batch.shape[2:]) < LEAST:
            return math.nan
        with torch.inference_mode():
            return float(network(batch))

    return measure


def _batch(rgb: Floats, border: int) -> Tensor:
    """An image (h,w,3) as (1,3,h,w), shaved and rounded to 8 bits."""
    import torch

    inside = rgb[border : rgb.shape[0] - border, border : rgb.shape[1] - border]
    planes = quantize(inside).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return torch.from_numpy(planes)[None]
