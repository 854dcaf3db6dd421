"""A router that learns its own features: tiles as they are, and a small network over them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mmsr_core.plugin.components import Classifier, Extractor, RouterData
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _pixels(*, side: int = 16) -> nn.Module:
    from mmsr_cnn.pixels import Pixels

    return Pixels(side)


def _network_gain(
    data: RouterData,
    *,
    seed: int,
    width: int = 8,
    epochs: int = 40,
    batch: int = 64,
    rate: float = 3e-3,
) -> tuple[Any, ...]:
    from mmsr_cnn.network import Schedule, fit_network

    return (fit_network(data, seed, width, Schedule(epochs, batch, rate)),)


@hookimpl
def register_extractors() -> Iterable[Extractor]:
    yield Extractor(
        name="pixels",
        summary="the pixels themselves, for a classifier that learns its own features",
        build=_pixels,
    )


@hookimpl
def register_classifiers() -> Iterable[Classifier]:
    yield Classifier(
        name="network-gain",
        summary="small network that predicts the error of every route, convolutional over pixels",
        output="errors",
        fit=_network_gain,
    )
