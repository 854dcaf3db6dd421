"""Pruning: tiles with next to no texture and next to no edges teach little and are left out.

Paper: A Multi-Model SR Training and Reconstruction Framework (2020), section 3.1. Its five
thresholds are the VSP's and the edge magnitude's, which the extractor takes, and these three.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ETVAT = ("etvat_r", "etvat_g", "etvat_b")
EDGES = ("edge_score", "limited_edge_score")
SCORES = ("ETVAT", "Edge_score", "limited Edge_score")
"""What the three columns of `three_scores` are called."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """Under each of them a score votes "flat"; a threshold of 0 never does."""

    etvat: float
    edge: float = 0.0
    limited_edge: float = 0.0

    def prune(self, scores: Floats) -> npt.NDArray[np.bool_]:
        """Whether the final score of tiles (n,3) is 1: ETVAT votes flat, and so does at least
        one of the two edge scores."""
        flat = scores < np.array([self.etvat, self.edge, self.limited_edge])
        return flat[:, 0] & flat[:, 1:].any(axis=1)


def three_scores(scores: npt.NDArray[np.float32], names: Sequence[str]) -> Floats:
    """Features (n,f) → ETVAT, Edge_score and limited Edge_score (n,3).

    ETVAT is the mean of its three channels: they have voted already, pixel by pixel.
    """
    columns = {name: scores[:, index].astype(np.float64) for index, name in enumerate(names)}
    etvat = np.mean([columns[name] for name in ETVAT], axis=0)
    return np.stack([etvat, *(columns[name] for name in EDGES)], axis=1)


def calibrate(scores: Floats, share: float) -> tuple[Thresholds, float]:
    """Thresholds that prune nearly a `share` of the tiles (n,3), and their common quantile.

    At level m each threshold is the m-th smallest of its score, counted from 0, and a score
    votes flat when no more than m scores are as small as it. So a tile falls from the level
    max(ETVAT's rank, min(ranks of the edge scores)) on, and the level nearest to the share can
    be read off. When all scores are distinct a level adds three tiles at most; equal ones fall
    together. The quantile is m / n.
    """
    ordered = np.sort(scores, axis=0)
    ranks = np.stack(
        [
            np.searchsorted(column, score, side="right")
            for column, score in zip(ordered.T, scores.T, strict=True)
        ]
    )
    falls = np.sort(np.maximum(ranks[0], np.minimum(ranks[1], ranks[2])))
    pruned = np.searchsorted(falls, np.arange(len(scores)), side="right")
    level = int(np.abs(pruned - share * len(scores)).argmin())
    return Thresholds(*map(float, ordered[level])), level / len(scores)
