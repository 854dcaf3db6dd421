"""Classifiers: random forests over features, and thresholds on TVAT or on the edge score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mmsr_core.plugin.components import Classifier, RouterData
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _forest(
    data: RouterData, *, seed: int, trees: int = 100, depth: int = 12, leaf: int = 8
) -> tuple[Any, ...]:
    from mmsr_forest.forest import fit_labels

    return fit_labels(data, seed, trees, depth, leaf)


def _forest_gain(
    data: RouterData, *, seed: int, trees: int = 100, depth: int = 12, leaf: int = 4
) -> tuple[Any, ...]:
    from mmsr_forest.forest import fit_gains

    return fit_gains(data, seed, trees, depth, leaf)


def _tvat_threshold(
    data: RouterData,
    *,
    seed: int,
    thresholds: Sequence[float] = (2.0, 4.0),
    calibrate: Literal["given", "quantile"] = "given",
) -> tuple[nn.Module]:
    from mmsr_forest.threshold import fit_bands

    return fit_bands(data, "tvat", thresholds, calibrate)


def _edge_threshold(
    data: RouterData,
    *,
    seed: int,
    thresholds: Sequence[float] = (),
    calibrate: Literal["given", "quantile"] = "quantile",
) -> tuple[nn.Module]:
    from mmsr_forest.threshold import fit_bands

    return fit_bands(data, "edge_score", thresholds, calibrate)


@hookimpl
def register_classifiers() -> Iterable[Classifier]:
    yield Classifier(
        name="forest",
        summary="random forest that predicts the class, learnt from measured labels",
        output="probs",
        fit=_forest,
    )
    yield Classifier(
        name="forest-gain",
        summary="random forest that predicts the error of every route",
        output="errors",
        fit=_forest_gain,
    )
    yield Classifier(
        name="tvat-threshold",
        summary="bands of the feature tvat, given or calibrated as quantiles",
        output="probs",
        fit=_tvat_threshold,
    )
    yield Classifier(
        name="edge-threshold",
        summary="bands of the feature edge_score, given or calibrated as quantiles",
        output="probs",
        fit=_edge_threshold,
    )
