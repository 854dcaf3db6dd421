"""A codec that learns in milliseconds, and what it is trained by."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Codec
from mmsr_core.runtime.codec.quantiser import NEAREST
from mmsr_core.train.codec.recipe import CodecRecipe, parse_codec


class Blocks(nn.Module):
    """One convolution over each cell, and one back; its loss has noise, as roundings have."""

    channels, smallest, encoder_radius, decoder_radius = 2, 16, 0, 0
    rounding = NEAREST

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 2, 8, stride=8)
        self.decoder = nn.Sequential(nn.Conv2d(2, 192, 1), nn.PixelShuffle(8), nn.Sigmoid())
        with torch.no_grad():
            self.encoder.weight.mul_(gain)

    def forward(self, images: Tensor) -> Tensor:
        codes = self.encoder(images)
        return (self.decoder(codes + 0.1 * torch.rand_like(codes)) - images).square().mean()


def _build(*, gain: float = 1.0) -> nn.Module:
    return Blocks(gain)


@pytest.fixture(scope="session")
def codecs() -> Catalog:
    """A catalog of that codec alone."""
    return Catalog((Entry("codec", Codec(name="blocks", summary="blocks", build=_build), "test"),))


@pytest.fixture
def make_recipe() -> Callable[..., CodecRecipe]:
    """make_recipe(**changes to its training): a tiny codec's recipe."""

    def make(
        held: int = 2,
        options: dict[str, Any] | None = None,
        start: str | None = None,
        **training: Any,
    ) -> CodecRecipe:
        settings = {"steps": 6, "batch": 2, "patch": 16, "rate": 1e-2, "save_every": 3}
        table = {
            "kind": "codec",
            "name": "tiny",
            "held": held,
            "start": start,
            "data": [{"folder": "photos", "licence": "CC0"}],
            "codec": {"name": "blocks", "options": options or {}},
            "training": settings | training,
        }
        return parse_codec(table, "recipe")

    return make
