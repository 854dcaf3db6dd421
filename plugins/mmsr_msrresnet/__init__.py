"""MSRResNet, the plain deep residual network of the papers' comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmsr_core.plugin.components import Backbone
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _build(*, depth: int, scale: int, channels: int = 64) -> nn.Module:
    from mmsr_msrresnet.network import MSRResNet

    return MSRResNet(depth, scale, channels)


@hookimpl
def register_backbones() -> Iterable[Backbone]:
    yield Backbone(
        name="msrresnet",
        summary="residual blocks without normalisation, PixelShuffle in steps, bilinear skip",
        build=_build,
        # Head and first growth reach one LR pixel each, every block two; whatever runs at a
        # finer grid reaches one more between them.
        radius=lambda depth: 2 * depth + 3,
        depths=range(1, 65),
        scales=(2, 3, 4),
    )
