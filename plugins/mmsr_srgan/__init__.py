"""SRGAN: residual blocks with batch normalisation, trained against a discriminator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from mmsr_core.plugin.components import Backbone
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _build(
    *, depth: int, scale: int, channels: int = 64, norm: Literal["batch", "none"] = "batch"
) -> nn.Module:
    from mmsr_srgan.network import Generator

    return Generator(depth, scale, channels, norm)


def _discriminator(*, layers: int = 8, channels: int = 64) -> nn.Module:
    from mmsr_srgan.discriminator import Discriminator

    return Discriminator(layers, channels)


@hookimpl
def register_backbones() -> Iterable[Backbone]:
    yield Backbone(
        name="srgan",
        summary="SRGAN: residual blocks with batch norm, PixelShuffle, a standard GAN phase",
        build=_build,
        # Head 4, every block 2, the convolution after them 1; growth and the 9×9 tail reach 3
        # LR pixels at every scale.
        radius=lambda depth: 2 * depth + 8,
        depths=range(1, 65),
        scales=(2, 3, 4),
        training="adversarial",
        discriminator=_discriminator,
        game="standard",
    )
