"""A whole plugin: one backbone of plain convolutions at LR size."""

from mmsr_core.plugin.components import Backbone
from mmsr_core.plugin.hookspecs import hookimpl


def build(*, depth, scale, channels=16):
    from torch import nn  # here, so that listing plugins stays quick

    layers = [nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)]
    return nn.Sequential(*layers, nn.Sigmoid())


@hookimpl
def register_backbones():
    yield Backbone(
        name="example",
        summary="plain convolutions at LR size, one PixelShuffle",
        build=build,
        radius=lambda depth: depth + 2,  # every 3×3 convolution looks one pixel further
        depths=range(0, 17),
        scales=(2, 3, 4),
    )
