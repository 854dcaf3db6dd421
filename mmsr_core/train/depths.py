"""The depth table: which expert is best on which class of tiles (M19.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmsr_core.plugin.components import RouterData
from mmsr_core.train.labels import FLOOR, cheapest_within
from mmsr_core.train.measure import Routes

PREFIX = "expert "
"""Of a route that is one expert alone; no class is called so, a name has no blank."""


class Beside(nn.Module):
    """Extractors side by side: the features of the first, then those of the next.

    A feature whose name is taken is called "… beside".
    """

    def __init__(self, *extractors: nn.Module) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)
        names: list[str] = []
        for extractor in extractors:
            mine: Any = extractor.names
            for name in mine:
                while name in names:
                    name += " beside"
                names.append(name)
        self.names = tuple(names)

    def forward(self, tiles: Tensor) -> Tensor:
        return torch.cat([extractor(tiles) for extractor in self.extractors], dim=1)


def with_experts(routes: Routes, experts: Sequence[str]) -> Routes:
    """The routes, and after them every expert as a route of its own."""
    return {**routes, **{PREFIX + name: ((name,), None) for name in experts}}


def without_experts(data: RouterData, features: int, epsilon: float) -> RouterData:
    """Measured data of the routes alone, and its first so many features."""
    mine = [i for i, label in enumerate(data.classes) if not label.startswith(PREFIX)]
    costs = data.costs[mine] / (data.costs[mine].max() or 1)
    return replace(
        data,
        features=data.features[:, :features],
        names=data.names[:features],
        errors=data.errors[:, mine],
        costs=costs,
        labels=cheapest_within(data.errors[:, mine], costs, epsilon),
        classes=tuple(data.classes[i] for i in mine),
    )


def depth_table(
    data: RouterData, labels: npt.NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    """Per class of tiles and expert: luma PSNR of the class's mean error in dB, and the share of
    its tiles on which the expert is the best of all, the cheapest among equals.

    `data` has the experts' columns of `with_experts`; `labels` (n,) are indices into `classes`.
    """
    mine = [i for i, label in enumerate(data.classes) if label.startswith(PREFIX)]
    errors = np.maximum(data.errors[:, mine], FLOOR)
    best = cheapest_within(errors, data.costs[mine], 1e-6)
    found = [labels == index for index in range(len(classes))]
    psnr = [(-10 * np.log10(errors[m].mean(axis=0))).tolist() if m.any() else None for m in found]
    wins = [
        (np.bincount(best[m], minlength=len(mine)) / m.sum()).tolist() if m.any() else None
        for m in found
    ]
    return {
        "classes": list(classes),
        "experts": [data.classes[i].removeprefix(PREFIX) for i in mine],
        "tiles": [int(m.sum()) for m in found],
        "psnr_y": [row and [round(value, 3) for value in row] for row in psnr],
        "wins": [row and [round(value, 4) for value in row] for row in wins],
    }
