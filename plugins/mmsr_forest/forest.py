"""Random forests, and the small modules that turn their answers into a router's outputs."""

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from torch import Tensor, nn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import RouterData

FLOOR = 1e-8
"""The smallest error that counts, −80 dB: a flat tile's error of 0 has no logarithm."""


class Columns(nn.Module):
    """Probabilities of the classes that were seen (n,k) → of all classes (n,c), 0 elsewhere."""

    places: Tensor

    def __init__(self, seen: np.ndarray, classes: int) -> None:
        super().__init__()
        self.register_buffer("places", torch.eye(classes)[torch.as_tensor(seen)])

    def forward(self, probs: Tensor) -> Tensor:
        return probs @ self.places


class Always(nn.Module):
    """Features (n,f) → probabilities (n,c) that are 1 for one class, whatever the features."""

    row: Tensor

    def __init__(self, label: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("row", torch.eye(classes)[label])

    def forward(self, features: Tensor) -> Tensor:
        return torch.zeros_like(features[:, :1]) + self.row


class Errors(nn.Module):
    """The dearest route's error and the others' gaps to it (n,r) → expected errors (n,r) > 0."""

    mixing: Tensor

    def __init__(self, dearest: int, routes: int) -> None:
        super().__init__()
        mixing = torch.eye(routes)
        mixing[dearest] = 1  # every route's error is its gap plus the dearest's own
        self.routes = routes
        self.register_buffer("mixing", mixing)

    def forward(self, gaps: Tensor) -> Tensor:
        # A forest of one output answers (n,), not (n,1).
        return (gaps.reshape(-1, self.routes) @ self.mixing).clamp(min=FLOOR)


def fit_labels(data: RouterData, seed: int, trees: int, depth: int, leaf: int) -> tuple[Any, ...]:
    """A forest over the labels (M20.5): features (n,f) → probabilities (n,c).

    A class without a single tile keeps its column, with probability 0. Raises PluginError for
    options below 1.
    """
    _check(trees=trees, depth=depth, leaf=leaf)
    seen = np.unique(data.labels)
    if len(seen) == 1:
        return (Always(int(seen[0]), len(data.classes)).eval(),)
    forest = RandomForestClassifier(
        trees, max_depth=depth, min_samples_leaf=leaf, random_state=seed, n_jobs=-1
    )
    forest.fit(data.features, data.labels)
    return _steady(forest), Columns(seen, len(data.classes)).eval()


def fit_gains(data: RouterData, seed: int, trees: int, depth: int, leaf: int) -> tuple[Any, ...]:
    """A forest over the routes' errors: features (n,f) → expected errors (n,r).

    It regresses the dearest route's error and how much more each cheaper route makes: gaps, not
    their logarithms, because a plan adds errors up, and what counts is to be right where they are
    large. Extremely randomised trees average such skewed targets best (measured: a fifth more of
    the perfect router's saving than bagged trees on logarithms).
    Raises PluginError for options below 1.
    """
    _check(trees=trees, depth=depth, leaf=leaf)
    dearest = int(np.argmax(data.costs))
    gaps = np.maximum(data.errors, FLOOR)
    others = np.arange(gaps.shape[1]) != dearest
    gaps[:, others] -= gaps[:, [dearest]]
    forest = ExtraTreesRegressor(
        trees, max_depth=depth, min_samples_leaf=leaf, random_state=seed, n_jobs=-1
    )
    forest.fit(data.features, gaps if gaps.shape[1] > 1 else gaps[:, 0])
    return _steady(forest), Errors(dearest, gaps.shape[1]).eval()


def _steady(forest: Any) -> Any:
    # Threads add the trees' answers in whatever order they end: the last bits would vary.
    return forest.set_params(n_jobs=None)


def _check(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise PluginError(f"a forest's {name} has to be 1 or more, not {value}")
