"""Both transforms as one module that knows what to learn."""

from collections.abc import Sequence
from itertools import chain
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mmsr_core.errors import PluginError, no_such
from mmsr_resgdn.network import FACTOR, Decoder, Encoder, Variant, check_shape
from mmsr_resgdn.objective import SMALLEST, distortion
from mmsr_resgdn.quantiser import MOST_BITS, stochastically

Rates = Literal["all", "one"]
"""At how many of its rates an image is learnt in a step."""
STRIDES = 3
"""Stages that halve or double the sides."""


class Transforms(nn.Module):
    """An encoder and a decoder, trained together at several rates; called, it gives the loss.

    Images (n,3,h,w) in [0,1], h and w multiples of 8 → a scalar: 2·L2 + MS-SSIM loss, summed over
    the numbers of bits in R (Eq. 8, 9). Every rate sees the same code map and its own roundings.
    With `rates` "one", each image is decoded at one rate, drawn from R: the sum on average, for a
    decoder run instead of as many as R has rates.
    """

    smallest = -(-SMALLEST // FACTOR) * FACTOR
    """The shortest side of images to learn from: MS-SSIM's, as a multiple of 8."""

    def __init__(
        self,
        codes: int,
        widths: Sequence[int],
        variant: Variant,
        bits: Sequence[int],
        rates: Rates = "all",
    ) -> None:
        super().__init__()
        check_shape(codes, widths, variant)
        if not bits or not all(1 <= one <= MOST_BITS for one in bits):
            raise PluginError(f"resgdn: bits is {list(bits)}; it takes some of 1 to {MOST_BITS}")
        if rates not in get_args(Rates):
            raise PluginError(no_such("rates", str(rates), get_args(Rates), "resgdn has"))
        self.channels, self.bits, self.rates = codes, tuple(bits), rates
        self.encoder = Encoder(codes, widths, variant)
        self.decoder = Decoder(codes, widths, variant)
        pools = variant == "nogdn"  # instance normalisation looks at the whole image
        residual = variant != "nores"
        self.encoder_radius = None if pools else encoder_radius(residual)
        self.decoder_radius = None if pools else decoder_radius(residual)

    def forward(self, images: Tensor) -> Tensor:
        codes = self.encoder(images).float()
        if self.rates == "one":
            drawn = torch.randint(len(self.bits), (len(codes),)).tolist()
            pairs = zip(codes.split(1), drawn, strict=True)
            seen = torch.cat([stochastically(code, self.bits[rate]) for code, rate in pairs])
            return len(self.bits) * distortion(self.decoder(seen), images)
        seen = torch.cat([stochastically(codes, bits) for bits in self.bits])
        answers = self.decoder(seen).chunk(len(self.bits))
        return torch.stack([distortion(answer, images) for answer in answers]).sum()


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
