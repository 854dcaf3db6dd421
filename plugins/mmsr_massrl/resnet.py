"""The trunks of the encoders: ResNet-18, 50 and 101 of any width, and a small one for tiles."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

Stem = Literal["large", "small"]
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


class ResNet(nn.Module):
    """Images (n,3,h,w), centred on 0 → the maps of its four stages, n, c·2^i, h/2^i', w/2^i'.

    `stem` "large" halves the sides twice before the first stage, as for ImageNet; "small" keeps
    them, as is usual for images of 32 to 64 pixels. `width` multiplies every stage's channels.
    """

    def __init__(self, name: str, width: float, stem: Stem) -> None:
        super().__init__()
        block, expansion = (Basic, 1) if name == "resnet18" else (Bottleneck, 4)
        channels = round(64 * width)
        first: list[nn.Module] = [
            nn.Conv2d(3, channels, 7, 2, 3, bias=False)
            if stem == "large"
            else nn.Conv2d(3, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        if stem == "large":
            first.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*first)
        stages: list[nn.Module] = []
        entering = channels
        for index, count in enumerate(BLOCKS[name]):
            inner = channels * 2**index
            blocks: list[nn.Module] = []
            for number in range(count):
                stride = 2 if index and not number else 1
                blocks.append(block(entering, inner, stride))
                entering = inner * expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = entering

    def forward(self, images: Tensor) -> list[Tensor]:
        return _through(self.stem(images), self.stages)


class Tile(nn.Module):
    """Three stages, each halving the sides and doubling the channels: about 3,000 multiply-
    accumulates for a pixel at width 1, so that a router built on it stays cheap."""

    def __init__(self, width: float) -> None:
        super().__init__()
        first, second, third = (round(channels * width) for channels in (16, 32, 64))
        self.stages = nn.ModuleList(
            [
                _halved(3, first),
                nn.Sequential(_halved(first, second), Basic(second, second, 1)),
                nn.Sequential(_halved(second, third), Basic(third, third, 1)),
            ]
        )
        self.channels = third

    def forward(self, images: Tensor) -> list[Tensor]:
        return _through(images, self.stages)


class Basic(nn.Module):
    """Two 3×3 convolutions around a shortcut."""

    def __init__(self, entering: int, inner: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolved(entering, inner, 3, stride),
            nn.ReLU(inplace=True),
            *_convolved(inner, inner, 3, 1),
        )
        self.shortcut = _shortcut(entering, inner, stride)
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(self.body(x) + self.shortcut(x))
        return answer


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions around a shortcut, four times as many channels out."""

    def __init__(self, entering: int, inner: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolved(entering, inner, 1, 1),
            nn.ReLU(inplace=True),
            *_convolved(inner, inner, 3, stride),
            nn.ReLU(inplace=True),
            *_convolved(inner, 4 * inner, 1, 1),
        )
        self.shortcut = _shortcut(entering, 4 * inner, stride)
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(self.body(x) + self.shortcut(x))
        return answer


def _convolved(entering: int, leaving: int, side: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(entering, leaving, side, stride, side // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(leaving)]


def _halved(entering: int, leaving: int) -> nn.Module:
    return nn.Sequential(*_convolved(entering, leaving, 3, 2), nn.ReLU(inplace=True))


def _shortcut(entering: int, leaving: int, stride: int) -> nn.Module:
    if entering == leaving and stride == 1:
        return nn.Identity()
    return nn.Sequential(*_convolved(entering, leaving, 1, stride))


def _through(x: Tensor, stages: Sequence[nn.Module] | nn.ModuleList) -> list[Tensor]:
    maps = []
    for stage in stages:
        x = stage(x)
        maps.append(x)
    return maps
