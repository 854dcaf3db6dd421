"""Pictures as programs have them: arrays, files, and those of Pillow."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import Bits, Header, Metadata, open_image, to_float
from mmsr_core.runtime.image.transparent import extended
from mmsr_core.runtime.source import Held, Source

_TAKEN = "an array is (h,w), (h,w,1), (h,w,3) or (h,w,4), of uint8, uint16 or floats in [0,1]"
_BITS: dict[str, Bits] = {"u1": 8, "u2": 16, "f2": 8, "f4": 8, "f8": 8}
_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA")
_ROOM = 0.5
"""How far beyond [0,1] floats may lie: what overshoots an edge, not what is meant as 0 to 255."""


class PilImage(Protocol):
    """An image of Pillow, which need not be installed."""

    mode: str
    info: dict[Any, Any]

    def convert(self, mode: str) -> "PilImage":
        """The image in another mode."""


Given = str | PathLike[str] | npt.NDArray[Any] | PilImage
"""A file's path, an array (h,w[,1|3|4]) of uint8, uint16 or floats in [0,1], or a Pillow image."""


@dataclass(frozen=True)
class Opened:
    """A picture's colour (n,w,3) and alpha (n,w), row by row, and what is known beside them."""

    colour: Source
    alpha: Source | None
    header: Header


def opened(image: Given) -> Opened:
    """A picture of any kind; ImageError in one line when it is none."""
    if isinstance(image, str | PathLike):
        picture = open_image(Path(image))
        return Opened(picture.colour, picture.alpha, picture.header)
    if isinstance(image, np.ndarray):
        return _of_array(image)
    if hasattr(image, "convert") and hasattr(image, "__array_interface__"):
        return _of_pil(image)
    raise ImageError(f"a {type(image).__name__} is no picture: give a path, an array or an image")


def _of_array(array: npt.NDArray[Any], metadata: Metadata | None = None) -> Opened:
    channels = array.shape[2] if array.ndim == 3 else 1
    bits = _BITS.get(f"{array.dtype.kind}{array.dtype.itemsize}")
    if bits is None or array.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or not array.size:
        raise ImageError(f"an array {array.shape} of {array.dtype}: {_TAKEN}")
    samples = _floats(array).reshape(*array.shape[:2], channels)
    colour = samples[..., : 1 if channels < 3 else 3]
    colour = np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))
    alpha = None
    if channels in (2, 4):
        alpha = np.ascontiguousarray(samples[..., -1]).clip(0, 1)
        colour = extended(colour, alpha)
    height, width = array.shape[:2]
    known = metadata or Metadata()
    header = Header(height, width, bits, channels < 3, alpha is not None, known)
    return Opened(Held(colour), None if alpha is None else Held(alpha), header)


def _floats(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples in [0,1]; ImageError when floats are not."""
    if array.dtype.kind == "u":
        return to_float(array.astype(array.dtype.newbyteorder("="), copy=False))
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"an array {array.shape} with NaN or infinite samples; replace them first")
    if low < -_ROOM or high > 1 + _ROOM:
        raise ImageError(
            f"an array of {array.dtype} from {low:g} to {high:g}: floats lie in [0,1]; divide "
            "them, or give uint8 or uint16"
        )
    return np.asarray(array, np.float32)


def _of_pil(image: Any) -> Opened:
    """A Pillow image as it lies, its orientation not applied; its colour profile is kept."""
    icc = image.info.get("icc_profile") or b""
    mode = _mode(image)
    if mode != image.mode:
        image = image.convert(mode)
        icc = icc if mode in ("L", "LA", "RGB", "RGBA") and icc[16:20] != b"CMYK" else b""
    return _of_array(np.asarray(image), Metadata(icc=icc))


def _mode(image: Any) -> str:
    """The mode that an image is looked at in."""
    mode = str(image.mode)
    if "transparency" in image.info:
        return "RGBA"
    if mode in _AS_THEY_ARE or mode.startswith("I;16") or mode == "F":
        return mode
    return {"1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")
