"""Classes as bands of one feature: rules that nobody has to train (M19.2)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import RouterData


class Bands(nn.Module):
    """Features (n,f) → probabilities (n,c), 1 for the band that the feature `column` lies in.

    A value equal to a threshold belongs to the band above it.
    """

    thresholds: Tensor
    bands: Tensor

    def __init__(self, column: int, thresholds: Sequence[float]) -> None:
        super().__init__()
        self.column = column
        self.register_buffer("thresholds", torch.tensor(thresholds, dtype=torch.float32))
        self.register_buffer("bands", torch.arange(len(thresholds) + 1))

    def forward(self, features: Tensor) -> Tensor:
        band = (features[:, self.column, None] >= self.thresholds).sum(1, keepdim=True)
        return (band == self.bands).float()


def fit_bands(
    data: RouterData, feature: str, thresholds: Sequence[float], calibrate: str
) -> tuple[nn.Module]:
    """Bands of `feature` in class order, at `thresholds`, or with "quantile" at those that give
    every class its share of the labels.

    Raises PluginError without the feature, for thresholds that don't rise or aren't one fewer
    than the classes, and for another way to calibrate.
    """
    if feature not in data.names:
        raise PluginError(
            f'bands need the feature "{feature}"; there are {", ".join(data.names)}; '
            "add it to the extractor's option features"
        )
    column = data.names.index(feature)
    if calibrate == "quantile":
        shares = np.bincount(data.labels, minlength=len(data.classes)) / len(data.labels)
        thresholds = np.quantile(data.features[:, column], np.cumsum(shares)[:-1].clip(0, 1))
    elif calibrate != "given":
        raise PluginError(f'no calibration "{calibrate}"; there are given and quantile')
    if len(thresholds) != len(data.classes) - 1:
        raise PluginError(
            f"{len(data.classes)} classes need {len(data.classes) - 1} thresholds of {feature}, "
            f"not {len(thresholds)}"
        )
    if any(low > high for low, high in pairwise(thresholds)):
        raise PluginError(f"thresholds of {feature} have to rise, not {list(thresholds)}")
    return (Bands(column, [float(value) for value in thresholds]).eval(),)
