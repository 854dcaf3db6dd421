"""The default backbone, and the bicubic floor below it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmsr_core.plugin.components import Backbone
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _compact(*, depth: int, scale: int, channels: int = 32) -> nn.Module:
    from mmsr_compact.network import Compact

    return Compact(depth, scale, channels)


def _bicubic(*, depth: int, scale: int) -> nn.Module:
    from mmsr_compact.network import Bicubic

    return Bicubic(scale)


@hookimpl
def register_backbones() -> Iterable[Backbone]:
    yield Backbone(
        name="compact",
        summary="residual pairs of 3x3 convolutions at LR size, one PixelShuffle tail",
        build=_compact,
        radius=lambda depth: 2 * depth + 2,
        depths=range(0, 65),
        scales=(2, 3, 4),
    )
    yield Backbone(
        name="bicubic",
        summary="bicubic enlargement as one fixed convolution, nothing to train",
        build=_bicubic,
        radius=lambda depth: 2,
        depths=range(0, 1),
        scales=(2, 3, 4),
        training="fixed",
    )
