"""Rules that need no training: bands of one feature, and the best thresholds that they can have."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmsr_core.measure.oracle import FLOOR, Scene
from mmsr_core.plugin.components import RouterData
from mmsr_core.runtime.plan import Array, Costs

RULES = {"tvat-threshold": "tvat", "edge-threshold": "edge_score"}
"""Classifier → the feature whose bands it makes."""


def label_shares(data: RouterData) -> Array:
    """The share of the tiles whose label lies below each border between two classes."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    return np.asarray(np.cumsum(counts)[:-1] / counts.sum())


def shares_below(data: RouterData, feature: str, thresholds: Array) -> Array:
    """The share of the tiles that lies below each threshold."""
    values = data.features[:, data.names.index(feature)]
    return np.asarray((values[:, None] < thresholds).mean(axis=0))


def quantile_thresholds(data: RouterData, feature: str, below: Array, knob: float) -> Array:
    """Thresholds between the classes, the larger the knob in [0,1), the fewer the cheap tiles.

    At ½ the shares of the tiles `below` them are as given; elsewhere these are raised to a
    power, from 1 (all tiles cheapest) towards 0 (all dearest).
    """
    shares = below.clip(0, 1) ** (knob / (1 - knob))
    return np.asarray(np.quantile(data.features[:, data.names.index(feature)], shares))


def best_thresholds(
    data: RouterData, scenes: Sequence[Scene], feature: str, costs: Costs, price: float
) -> Array:
    """The thresholds that minimise Σ error + λ · Σ time on measured scenes, at λ = `price`.

    The same sum as the plan's, tile by tile and so without halos: the most that bands of this
    feature can do. By dynamic programming over the tiles in the feature's order.
    """
    values = data.features[:, data.names.index(feature)]
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    losses = np.concatenate([_losses(scene, costs, price) for scene in scenes])[order]
    totals = np.concatenate([np.zeros((1, losses.shape[1])), losses.cumsum(axis=0)])
    tied = np.concatenate([[False], ranked[1:] == ranked[:-1], [False]])
    places = np.arange(len(totals))
    best = totals[:, 0]  # of the first so many tiles, in the first class
    cuts: list[npt.NDArray[np.intp]] = []
    for label in range(1, losses.shape[1]):
        gain = np.where(tied, np.inf, best - totals[:, label])
        least = np.minimum.accumulate(gain)
        cuts.append(np.maximum.accumulate(np.where(gain <= least, places, 0)))
        best = totals[:, label] + least
    place, found = len(ranked), []
    for cut in reversed(cuts):
        place = int(cut[place])
        found.append(ranked[place] if place < len(ranked) else np.inf)
    return np.array(found[::-1], np.float64)


def _losses(scene: Scene, costs: Costs, price: float) -> Array:
    """Of every cell under every route: its share of the error, and λ times its time."""
    grid = scene.grid
    share = scene.errors / max(FLOOR, float(scene.errors[:, costs.deepest].sum()))
    area = grid.areas / (grid.height * grid.width)
    return np.asarray(share + price * np.outer(area, costs.routes))
