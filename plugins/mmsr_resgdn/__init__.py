"""ResGDN: a learned image codec with residual divisive normalisation, one model for every rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from mmsr_core.plugin.components import Codec, Extractor
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn

    from mmsr_resgdn.transforms import Transforms

WIDTHS = (32, 64, 128, 256)


def _build(
    *,
    codes: int = 8,
    widths: Sequence[int] = WIDTHS,
    variant: Literal["resgdn", "resrelu", "nores", "nogdn"] = "resgdn",
    shortcut: bool = False,
    bits: Sequence[int] = (2, 4, 8),
    rates: Literal["all", "one"] = "all",
    range: Literal["channel", "fixed", "learnt"] = "channel",
    rounding: Literal["stochastic", "nearest"] = "stochastic",
    price: float = 0.0,
    l2: float = 2.0,
    dead_zone: int = 0,
    thrift: int = 0,
) -> Transforms:
    from mmsr_resgdn.network import Shape
    from mmsr_resgdn.transforms import Aim, Transforms

    shape = Shape(codes, widths, variant, shortcut)
    return Transforms(shape, Aim(bits, rates, range, rounding, price, l2, dead_zone, thrift))


def _build_extractor(
    *,
    weights: str = "",
    codes: int = 8,
    widths: Sequence[int] = WIDTHS,
    variant: Literal["resgdn", "resrelu", "nores", "nogdn"] = "resgdn",
    shortcut: bool = False,
    bits: int = 4,
) -> nn.Module:
    from mmsr_resgdn.extractor import build_extractor
    from mmsr_resgdn.network import Shape

    return build_extractor(weights, Shape(codes, widths, variant, shortcut), bits)


@hookimpl
def register_codecs() -> Iterable[Codec]:
    yield Codec(
        name="resgdn",
        summary="residual divisive normalisation, one model for every rate from 1 to 8 bits a code",
        build=_build,
    )


@hookimpl
def register_extractors() -> Iterable[Extractor]:
    yield Extractor(
        name="codelength",
        summary="how many bits a tile costs in the codec resgdn, in all and by channel",
        build=_build_extractor,
    )
