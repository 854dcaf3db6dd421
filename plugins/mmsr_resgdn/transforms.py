"""Both transforms as one module that knows what to learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmsr_core.errors import PluginError, no_such
from mmsr_core.runtime.codec.quantiser import Rounding as Used
from mmsr_resgdn.blocks import FACTOR
from mmsr_resgdn.network import Decoder, Encoder, Shape
from mmsr_resgdn.objective import SMALLEST, distortion
from mmsr_resgdn.quantiser import MOST_BITS, Grid, quantised, stochastically
from mmsr_resgdn.rate import Rate

Rates = Literal["all", "one"]
"""At how many of its rates an image is learnt in a step."""
Range = Literal["channel", "fixed", "learnt"]
"""Between what a channel's levels lie: its own least and greatest code, as far as codes can go, or
as far as that times what training finds for the channel at each rate."""
Rounding = Literal["stochastic", "nearest"]
_QUICKER = 2.0
"""How much faster scales learn than the transforms, with which they share a rate."""
STRIDES = 3
"""Stages that halve or double the sides."""
_PRICED = 4
_CHEAPER = 3.0
"""How much less a bit is worth with every bit a code: the slope of distortion over rate falls so
about where each of them works."""


@dataclass(frozen=True)
class Aim:
    """What is learnt: the paper's own by default. PluginError for values that there are not."""

    bits: Sequence[int] = (2, 4, 8)
    rates: Rates = "all"
    range: Range = "channel"
    rounding: Rounding = "stochastic"
    price: float = 0.0
    """What a bit per pixel costs at 4 bits a code, in distortion; a third for each bit more."""
    l2: float = 2.0
    """Weight of L2 beside that of MS-SSIM."""
    dead_zone: int = 0
    """Hundredths of a step by which rounding leans to 0 in training, where there is a fixed range:
    as thrift will."""
    thrift: int = 0
    """What a bit is worth when the codec is used, in hundredths of a squared step."""

    def __post_init__(self) -> None:
        if not self.bits or not all(1 <= one <= MOST_BITS for one in self.bits):
            raise PluginError(
                f"resgdn: bits is {list(self.bits)}; it takes some of 1 to {MOST_BITS}"
            )
        for name, kinds in (("rates", Rates), ("range", Range), ("rounding", Rounding)):
            if (value := getattr(self, name)) not in get_args(kinds):
                raise PluginError(no_such(name, str(value), get_args(kinds), "resgdn has"))
        if not 0 <= self.dead_zone < 50:
            raise PluginError(f"resgdn: dead_zone is {self.dead_zone}; it is from 0 to 49")
        for name in ("price", "l2", "thrift"):
            if not (value := getattr(self, name)) >= 0:
                raise PluginError(f"resgdn: {name} is {value}; it is 0 or more")

    def price_at(self, bits: int) -> float:
        """λ for so many bits a code."""
        return self.price * _CHEAPER ** (_PRICED - bits)


class Transforms(nn.Module):
    """An encoder and a decoder, trained together at several rates; called, it gives the loss.

    Images (n,3,h,w) in [0,1], h and w multiples of 8 → a scalar: 2·L2 + MS-SSIM loss, summed over
    the numbers of bits in R (Eq. 8, 9). Every rate sees the same code map and its own roundings.
    With `rates` "one", each image is decoded at one rate, drawn from R: the sum on average, for a
    decoder run instead of as many as R has rates.

    With a `price`, λ·(bits per pixel) joins the loss of each rate, and all of it is divided by √λ,
    so that the fine rates, whose distortions are small, weigh as much as the coarse ones.
    """

    smallest = -(-SMALLEST // FACTOR) * FACTOR
    """The shortest side of images to learn from: MS-SSIM's, as a multiple of 8."""

    def __init__(self, shape: Shape, aim: Aim) -> None:
        super().__init__()
        self.aim, self.channels = aim, shape.codes
        self.reach = None if aim.range == "channel" else shape.reach
        learnt = aim.range == "learnt"
        self.scales = Scales(aim.bits, shape.codes) if learnt else None
        self.encoder, self.decoder = Encoder(shape), Decoder(shape)
        self.rate = Rate(shape.codes, len(aim.bits)) if aim.price else None
        pools = shape.variant == "nogdn"  # instance normalisation looks at the whole image
        residual = shape.variant != "nores"
        self.encoder_radius = None if pools else encoder_radius(residual)
        self.decoder_radius = None if pools else decoder_radius(residual)

    @property
    def rounding(self) -> Used:
        """How codes become numbers when the codec is used."""
        scales = None if self.scales is None else self.scales.arrays()
        return Used(self.reach, self.aim.thrift, scales)

    def forward(self, images: Tensor) -> Tensor:
        codes, bits = self.encoder(images).float(), self.aim.bits
        if self.aim.rates == "one":
            drawn = torch.randint(len(bits), (len(codes),), device=codes.device)
            return len(bits) * self._loss(codes, images, drawn).mean()
        every = torch.arange(len(bits), device=codes.device).repeat_interleave(len(codes))
        again = (len(bits), 1, 1, 1)
        return self._loss(codes.repeat(again), images.repeat(again), every).mean() * len(bits)

    def _loss(self, codes: Tensor, images: Tensor, rates: Tensor) -> Tensor:
        """(n,) of code maps (n,c,h,w) and images, each at the rate of that place in R."""
        bits = [self.aim.bits[rate] for rate in rates.tolist()]
        grids = [self._grid(code, b) for code, b in zip(codes.split(1), bits, strict=True)]
        rounded = stochastically if self.aim.rounding == "stochastic" else quantised
        seen = [rounded(*pair) for pair in zip(codes.split(1), grids, strict=True)]
        lost = distortion(self.decoder(torch.cat(seen)), images, self.aim.l2)
        if self.rate is None:
            return lost
        steps = codes / torch.cat([grid.step for grid in grids])
        spent = self.rate(steps, rates) / (images.shape[-2] * images.shape[-1])
        price = torch.tensor([self.aim.price_at(b) for b in bits], device=codes.device)
        return (lost + price * spent) / price.sqrt()

    def _grid(self, codes: Tensor, bits: int) -> Grid:
        if self.reach is None:
            return Grid.of(codes, bits)
        scales = codes.new_ones(2, self.channels) if self.scales is None else self.scales(bits)
        return Grid.fixed(self.reach, bits, scales, self.aim.dead_zone / 100)


class Scales(nn.Module):
    """For each of the rates and every channel, how much larger a step is than the range that all
    share would have it, and how much larger its value in decoding; both are 1 to begin with.

    Coarse rates want other channels coarse than fine ones do, and other values: where most codes
    are near 0, those that are rounded away from it were less, on average (Cui et al. 2021).
    """

    def __init__(self, bits: Sequence[int], channels: int) -> None:
        super().__init__()
        self.bits = tuple(bits)
        self.logs = nn.Parameter(torch.zeros(len(bits), 2, channels))

    def forward(self, bits: int) -> Tensor:
        """(2,c): steps, then values; of a rate that isn't learnt, those of the nearest that is.

        What is learnt is the step, and the value's ratio to it: a step with its value at its side
        feels how much is lost by rounding; alone it would feel its values shrink, and no more.
        """
        nearest = min(range(len(self.bits)), key=lambda place: abs(self.bits[place] - bits))
        step, ratio = _QUICKER * self.logs[nearest]
        return torch.stack([step, step + ratio]).exp()

    @torch.no_grad()
    def arrays(self) -> dict[int, npt.NDArray[np.float32]]:
        """The same for every number of bits there is."""
        return {bits: self(bits).float().cpu().numpy() for bits in range(1, MOST_BITS + 1)}


def encoder_radius(residual: bool) -> int:
    """How many pixels around its cell of 8×8 a code depends on."""
    stage = [(4, 2), *([(3, 1)] * 2 if residual else [])]
    layers = [(5, 1), *chain.from_iterable([stage] * STRIDES), (3, 1)]
    low = high = 0
    for side, stride in reversed(layers):
        low = low * stride - (side - 1) // 2
        high = high * stride - (side - 1) // 2 + side - 1
    return max(-low, high - (FACTOR - 1))


def decoder_radius(residual: bool) -> int:
    """How many cells around its own a pixel depends on."""
    low, high = -2, FACTOR - 1 + 2  # the last convolution is 5×5
    for _ in range(STRIDES):
        reach = 2 if residual else 0
        low, high = low - reach, high + reach
        low, high = -((2 - low) // 2), (high + 1) // 2  # the transposed convolution
    return max(-(low - 1), high + 1)
