"""The two transforms: images to a code map an eighth their size, and back (Fig. 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from mmsr_core.errors import PluginError, no_such
from mmsr_resgdn.blocks import BLOCK_REACH, FACTOR, FromBlocks, ToBlocks
from mmsr_resgdn.gdn import GDN, IGDN

Variant = Literal["resgdn", "resrelu", "nores", "nogdn"]
"""Fig. 6's: the paper's own, residual blocks with ReLU, none at all, and ReLU everywhere."""
STAGES = 4
"""Those that have a width; the fifth ends in the code map or the image."""
REACH = 8
"""No code is larger: the rarest outlier would widen the range that all levels share."""
SMALL = 0.1
"""What a residual branch starts at: eight inverse normalisations at full strength explode."""


class Residual(nn.Module):
    """x + T(x) (Eq. 3, 7)."""

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.transform(x)
        return out


@dataclass(frozen=True)
class Shape:
    """What both networks are built by; PluginError for what none can be."""

    codes: int
    widths: Sequence[int]
    variant: Variant = "resgdn"
    shortcut: bool = False
    """Whether a linear transform of blocks of 8×8 pixels goes beside the network."""

    def __post_init__(self) -> None:
        if self.codes < 1:
            raise PluginError(f"resgdn: codes is {self.codes}; a code map has at least one channel")
        if len(self.widths) != STAGES or min(self.widths) < 1:
            raise PluginError(
                f"resgdn: widths is {list(self.widths)}; it takes {STAGES}, all positive"
            )
        if self.variant not in get_args(Variant):
            raise PluginError(no_such("variant", self.variant, get_args(Variant), "resgdn has"))
        if self.shortcut and self.codes > 3 * FACTOR**2:
            raise PluginError(
                f"resgdn: codes is {self.codes}; beside a shortcut at most {3 * FACTOR**2}"
            )

    @property
    def reach(self) -> int:
        """No code is meant to be larger."""
        return BLOCK_REACH if self.shortcut else REACH


class Encoder(nn.Module):
    """Images (n,3,h,w) in [0,1] → code map (n,c,h/8,w/8); h and w are multiples of 8."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        variant = shape.variant
        layers: list[nn.Module] = []
        channels = 3
        for stage, width in enumerate(shape.widths):
            layers.append(_down(channels, width) if stage else _conv(channels, width, 5))
            layers.append(_after(variant, width))
            if stage and variant != "nores":
                layers.append(Residual(_transform(variant, width)))
            channels = width
        layers.append(_conv(channels, shape.codes, 3, gain=0.0 if shape.shortcut else 1.0))
        self.body = nn.Sequential(*layers)
        self.shortcut = ToBlocks(shape.codes) if shape.shortcut else None
        self.last = nn.Tanh() if variant == "nogdn" else GDN(shape.codes, REACH)

    def forward(self, images: Tensor) -> Tensor:
        x = 2 * images - 1
        codes: Tensor = self.last(self.body(x))
        return codes if self.shortcut is None else codes + self.shortcut(x)


class Decoder(nn.Module):
    """Code map (n,c,h,w) → images (n,3,8h,8w), in [0,1] in eval mode."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        variant = shape.variant
        normalises = variant != "nogdn"
        layers: list[nn.Module] = []
        channels = shape.codes
        for stage, width in enumerate(reversed(shape.widths)):
            if stage and normalises:
                layers.append(IGDN(channels))
            layers.append(Up(channels, width) if stage else _conv(channels, width, 3))
            if not normalises:
                layers.append(_after(variant, width))
            if stage and variant != "nores":
                layers.append(Residual(_transform(variant, width, inverse=True)))
            channels = width
        if normalises:
            layers.append(IGDN(channels))
        layers.append(_conv(channels, 3, 5, gain=0.0 if shape.shortcut else 1.0))
        if not normalises:
            layers.append(nn.Tanh())
        self.first = IGDN(shape.codes) if normalises else nn.Identity()
        self.body = nn.Sequential(*layers)
        self.shortcut = FromBlocks(shape.codes) if shape.shortcut else None

    def forward(self, codes: Tensor) -> Tensor:
        x = self.body(self.first(codes))
        if self.shortcut is not None:
            x = x + self.shortcut(codes)
        images: Tensor = (x + 1) / 2
        return images if self.training else images.clamp(0, 1)  # no gradient dies in training


class Up(nn.Module):
    """A transposed convolution of 4×4 and stride 2, (n,c,h,w) → (n,c',2h,2w).

    Written as the four 2×2 convolutions that it consists of, interleaved: the same numbers, and
    ONNX Runtime computes them in half the time.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = _initial(nn.Conv2d(before, 4 * after, 2, padding=1))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shuffle(self.conv(x))
        return out[..., 1:-1, 1:-1]


def _transform(variant: Variant, width: int, inverse: bool = False) -> nn.Module:
    """T: two pairs of a convolution and what normalises it; it starts small."""
    layers: list[nn.Module] = []
    for gain in (1.0, SMALL):
        conv = _conv(width, width, 3, gain)
        if variant == "resgdn":
            layers += [IGDN(width), conv] if inverse else [conv, GDN(width)]
        elif variant == "resrelu":
            layers += [nn.ReLU(), conv] if inverse else [conv, nn.ReLU()]
        else:
            layers += [conv, _after(variant, width)]
    return nn.Sequential(*layers)


def _after(variant: Variant, width: int) -> nn.Module:
    """What follows a convolution of the encoder, or any without GDN."""
    if variant == "nogdn":
        return nn.Sequential(nn.InstanceNorm2d(width, affine=True), nn.ReLU())
    return GDN(width)


def _conv(before: int, after: int, side: int, gain: float = 1.0) -> nn.Conv2d:
    return _initial(nn.Conv2d(before, after, side, padding=side // 2), gain)


def _down(before: int, after: int) -> nn.Conv2d:
    return _initial(nn.Conv2d(before, after, 4, stride=2, padding=1))


def _initial(conv: nn.Conv2d, gain: float = 1.0) -> nn.Conv2d:
    """Weights that keep a signal's power through the layer: nothing rectifies it here."""
    nn.init.normal_(conv.weight, std=gain * conv.weight[0].numel() ** -0.5)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
