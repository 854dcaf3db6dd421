"""How far a network looks: found by changing pixels and seeing what moves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ExportError
from mmsr_onnx.parity import textured_tiles

Floats = npt.NDArray[np.float32]
Upscale = Callable[[Floats], Floats]
"""Tiles (n,3,h,w) → upscaled (n,3,s·h,s·w)."""

CORE = 16
"""Side of what is looked at, in LR pixels."""
HALOS = (8, 12, 16, 24, 32, 48, 64)
"""Contexts that are tried, in LR pixels: further is no tile any more."""
BEYOND = 16
"""LR pixels around the widest part that a test keeps."""
SEEN = 0.5 / 255
"""A change that shows: half a step of 8 bits."""
TRACE = 1e-6
"""A change at all, in float32."""


@dataclass(frozen=True)
class Locality:
    """How far a network looks, in LR pixels."""

    radius: int | None
    """Of the pixels that a changed one has any effect on; None: further than was looked."""
    halo: int
    """Context with which a tile's answer is that of the whole picture, as far as one can see."""


def measure_locality(upscale: Upscale, scale: int, what: str, force: bool) -> Locality:
    """The context that a network's tiles need, and how far a changed pixel reaches.

    ExportError for a network that still sees what is `HALOS[-1]` pixels away, as one that pools
    over the whole picture does; with `force` it gets that much context nevertheless.
    """
    moved = 0.0
    for halo in HALOS:
        moved = _moved(upscale, scale, halo)
        if moved <= SEEN:
            return Locality(_reach(upscale, scale), halo)
    if not force:
        raise ExportError(
            f"{what}: what lies more than {HALOS[-1]} pixels away still moves its answer by "
            f"{255 * moved:.1f} of 255; it pools over the whole picture or looks too far for "
            "tiles; leave it out, or --force"
        )
    return Locality(None, HALOS[-1])


def _moved(upscale: Upscale, scale: int, halo: int) -> float:
    """How much the answer of a core moves when it keeps `halo` pixels of its context.

    All that lies further away is replaced by something else, and once more cut off.
    """
    margin = halo + BEYOND
    side = CORE + 2 * margin
    pictures = textured_tiles(3, side, side, seed=halo)
    others = textured_tiles(3, side, side, seed=halo + 1)[::-1].copy()
    kept = slice(BEYOND, side - BEYOND)
    others[:, :, kept, kept] = pictures[:, :, kept, kept]
    whole = _core(upscale(pictures), margin, scale)
    replaced = _core(upscale(others), margin, scale)
    cut = _core(upscale(np.ascontiguousarray(pictures[:, :, kept, kept])), halo, scale)
    return float(max(np.abs(replaced - whole).max(), np.abs(cut - whole).max()))


def _core(answer: Floats, margin: int, scale: int) -> Floats:
    inner = slice(margin * scale, (margin + CORE) * scale)
    return answer[:, :, inner, inner]


def _reach(upscale: Upscale, scale: int) -> int | None:
    """LR pixels between a changed pixel and the last that it has an effect on."""
    middle = HALOS[-1]
    picture = textured_tiles(2, 2 * middle + 1, 2 * middle + 1, seed=5)[1:]
    changed = picture.copy()
    changed[:, :, middle, middle] = 1 - np.round(changed[:, :, middle, middle])
    effect = np.abs(upscale(changed) - upscale(picture)).max(axis=(0, 1)) > TRACE
    rows, columns = np.nonzero(effect)
    if not rows.size:
        return 0
    reach = int(np.abs(np.concatenate([rows, columns]) // scale - middle).max())
    return None if reach >= middle else reach
