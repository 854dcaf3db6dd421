"""The contract check of a codec. PyTorch is imported when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Codec

if TYPE_CHECKING:
    from torch import Tensor, nn

CELL = 8
CLOSE = 1e-5
"""How far answers that should be equal may differ."""


def check_codec(codec: Codec, **options: Any) -> None:
    """Check a codec with seeded weights.

    Promised: images (n,3,h,w) → codes (n,channels,h/8,w/8) → images, float32, the last in [0,1];
    both deterministic and batch-independent, and no further-looking than their radii; a finite
    loss, with a gradient for every weight.
    """
    import torch

    what = f"codec {codec.name}"
    torch.manual_seed(0)
    module: Any = codec.build(**options)
    radii = ("encoder_radius", "decoder_radius")
    for name in ("encoder", "decoder", "channels", "rounding", *radii, "smallest"):
        if not hasattr(module, name):
            _fail(what, f"an attribute {name}", "none")
    side = int(module.smallest)
    if side < CELL or side % CELL:
        _fail(what, f"smallest, a multiple of {CELL}", str(side))
    loss = module.train()(torch.rand(2, 3, side, side))
    if loss.shape != () or not torch.isfinite(loss):
        _fail(what, "a loss, one finite number", f"{loss.detach()}")
    loss.backward()
    for name, weight in module.named_parameters():
        if weight.grad is None or not torch.isfinite(weight.grad).all():
            _fail(what, "a finite gradient for every weight", f"none for {name}")
    module.eval().requires_grad_(False)
    images = torch.rand(2, 3, 40, 56)
    codes = module.encoder(images)
    _shape(what, "codes", codes, (2, int(module.channels), 5, 7))
    answer = module.decoder(codes)
    _shape(what, "images", answer, (2, 3, 40, 56))
    if not (answer.min() >= 0 and answer.max() <= 1):
        _fail(what, "images in [0,1]", f"{answer.min():.3g} to {answer.max():.3g}")
    for part, inputs, outputs in ((module.encoder, images, codes), (module.decoder, codes, answer)):
        if not torch.equal(part(inputs), outputs):
            _fail(what, "the same answer twice", "another one")
        if not torch.allclose(part(inputs[1:]), outputs[1:], rtol=CLOSE, atol=CLOSE):
            _fail(what, "an answer that other images don't change", "one that they do")
    _check_reach(what, "encoder", module.encoder, (module.encoder_radius, 1, CELL), 3)
    _check_reach(what, "decoder", module.decoder, (module.decoder_radius, CELL, 1), module.channels)


def _check_reach(
    what: str, name: str, part: nn.Module, reach: tuple[int | None, int, int], channels: int
) -> None:
    """`reach`: the radius in inputs, then how many outputs and inputs a cell has each way."""
    import torch

    radius, up, down = reach
    if radius is None:
        return
    cells = -(-radius // down) + 1
    side = (2 * cells + 1) * down
    start, stop = cells * down - radius, (cells + 1) * down + radius
    inputs = torch.rand(1, channels, side, side)
    outside = torch.rand(1, channels, side, side)
    outside[..., start:stop, start:stop] = inputs[..., start:stop, start:stop]
    middle = (..., slice(cells * up, (cells + 1) * up), slice(cells * up, (cells + 1) * up))
    if not torch.allclose(part(inputs)[middle], part(outside)[middle], rtol=CLOSE, atol=CLOSE):
        _fail(f"{what}: {name}", f"to look no further than {radius}", "something beyond matters")


def _shape(what: str, name: str, got: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(got.shape) != wanted:
        _fail(what, f"{name} of shape {wanted}", str(tuple(got.shape)))


def _fail(what: str, promised: str, seen: str) -> NoReturn:
    raise PluginError(f"{what}: promised {promised}; seen: {seen}")
