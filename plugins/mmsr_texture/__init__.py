"""How much texture a tile has: TVAT, ETVAT, edge scores, and cheap measures beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from mmsr_core.plugin.components import Extractor
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = ("etvat_r", "etvat_g", "etvat_b", "edge_score", "limited_edge_score")


def _build(
    *,
    features: Sequence[str] | Literal["all"] = PAPER,
    threshold: float = 0.01,
    edge_limit: float = 0.75,
    value_range: Sequence[float] = (-1.0, 1.0),
) -> nn.Module:
    from mmsr_texture.network import FEATURES, Texture

    return Texture(FEATURES if features == "all" else features, threshold, edge_limit, value_range)


@hookimpl
def register_extractors() -> Iterable[Extractor]:
    yield Extractor(
        name="texture",
        summary="TVAT, ETVAT and Sobel edge scores, residuals of shrinking, contrast",
        build=_build,
    )
