"""Which numbers a plain upscaler takes for black and white, found by upscaling small pictures."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from mmsr_core.errors import BundleError, ExportError
from mmsr_onnx.given.borders import RANGES, Range, expert_of
from mmsr_onnx.given.read import Plain
from mmsr_onnx.given.running import open_session
from mmsr_onnx.parity import textured_tiles

Floats = npt.NDArray[np.float32]

ALIKE = 0.12
"""How far, root mean square, an enlarged picture may be from the picture once it is shrunk."""
CLEARLY = 0.8
"""A range later in the list has to be better by this."""
BYTES = Range(0, 255)


def find_scale_and_ranges(plain: Plain, path: Path, force: bool) -> tuple[int, Range, Range]:
    """The factor that a plain upscaler enlarges by, and the ranges that it takes and gives.

    An enlarged picture, shrunk again, is the picture: the ranges are those with which it is.
    ExportError when it is with none, or enlarges by no whole factor; with `force` the range [0,1]
    is taken for granted in the first case.
    """
    pictures = textured_tiles(4, 24, 36, seed=3)
    scale, found = 0, []
    for takes in (BYTES,) if plain.type == TensorProto.UINT8 else RANGES:
        answer = _answer(plain, takes, pictures, path)
        scale = _scale(pictures, answer, path)
        shrunk = _shrunk(answer, scale)
        for gives in (BYTES,) if plain.answers == TensorProto.UINT8 else RANGES:
            seen = (shrunk - gives.black) / (gives.white - gives.black)
            apart = float(np.sqrt(np.mean(np.square(seen - pictures))))
            found.append((apart, takes, gives))
    best = found[0]
    for other in found[1:]:
        if other[0] < CLEARLY * best[0]:
            best = other
    if not best[0] <= ALIKE:
        if not force:
            raise ExportError(
                f"{path}: its answer is like its input in none of the ranges "
                f"{', '.join(map(str, RANGES))}; is it an upscaler? --force takes [0,1]"
            )
        best = found[0]
    return scale, best[1], best[2]


def _answer(plain: Plain, takes: Range, pictures: Floats, path: Path) -> Floats:
    """What the graph makes of pictures together, checked against what it makes of each alone."""
    session = open_session(expert_of(plain, takes, None), str(path))
    try:
        together: Floats = session.run(None, {"tiles": pictures})[0]
        alone: list[Floats] = [session.run(None, {"tiles": one[None]})[0] for one in pictures]
        session.run(None, {"tiles": pictures[:1, :, 2:15, 1:12]})  # odd sides
    except Exception as error:  # ONNX Runtime's own exceptions share no useful base
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"{path}: doesn't run on any number of pictures of any size ({line}); export it again "
            "with dynamic batch, height and width"
        ) from None
    if together.ndim != 4 or together.shape[:2] != pictures.shape[:2]:
        raise ExportError(f"{path}: makes {together.shape} of {pictures.shape}, no pictures")
    if not np.isfinite(together).all():
        raise BundleError(f"{path}: its answer is not finite")
    size = max(1.0, float(np.abs(together).max()))
    if float(np.abs(np.concatenate(alone) - together).max()) > 1e-3 * size:
        raise ExportError(f"{path}: its answer to a picture depends on those beside it")
    return together


def _scale(pictures: Floats, answer: Floats, path: Path) -> int:
    height, width = pictures.shape[2:]
    scale, rest = divmod(answer.shape[2], height)
    if rest or answer.shape[3] != scale * width:
        raise ExportError(
            f"{path}: makes {answer.shape[3]}x{answer.shape[2]} pixels of {width}x{height}, no "
            "whole factor"
        )
    return scale


def _shrunk(answer: Floats, scale: int) -> Floats:
    n, channels, height, width = answer.shape
    blocks = answer.reshape(n, channels, height // scale, scale, width // scale, scale)
    return np.asarray(blocks.mean(axis=(3, 5)), np.float32)
