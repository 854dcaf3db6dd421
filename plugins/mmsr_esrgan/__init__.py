"""ESRGAN: residual-in-residual dense blocks, trained in a relativistic game."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmsr_core.plugin.components import Backbone
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _build(*, depth: int, scale: int, channels: int = 64, growth: int = 32) -> nn.Module:
    from mmsr_esrgan.network import Generator

    return Generator(depth, scale, channels, growth)


def _discriminator(*, layers: int = 10, channels: int = 64) -> nn.Module:
    from mmsr_esrgan.discriminator import Discriminator

    return Discriminator(layers, channels)


@hookimpl
def register_backbones() -> Iterable[Backbone]:
    yield Backbone(
        name="esrgan",
        summary="ESRGAN: residual-in-residual dense blocks, a relativistic GAN phase",
        build=_build,
        # Head and gathering convolution reach one LR pixel each, every block its fifteen
        # convolutions, and whatever runs at finer grids two more (one at scale 3).
        radius=lambda depth: 15 * depth + 4,
        depths=range(1, 65),
        scales=(2, 3, 4),
        training="adversarial",
        discriminator=_discriminator,
        game="relativistic",
    )
