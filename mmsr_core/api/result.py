"""An upscaled picture in memory, and what can be made of it."""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import Bits, Header, Sink, quantize
from mmsr_core.runtime.plan import Plan
from mmsr_core.runtime.tiles import Floats

if TYPE_CHECKING:
    import PIL.Image

_ROWS = 256


@dataclass(frozen=True)
class Result:
    """One upscaled picture, and how it came about."""

    pixels: Floats
    """float32 RGB (h,w,3); 0 to 1, from which it may overshoot a little at edges."""
    alpha: Floats | None
    """float32 (h,w) in [0,1], not multiplied into `pixels`; None where the picture had none."""
    header: Header
    """What a file of it says beside its pixels: metadata, depth, whether it is grey."""
    plan: Plan
    """Which expert ran where, in the first pass."""
    seconds: dict[str, float]
    """Time by stage: route, plan, experts, fuse, stitch."""
    macs: float
    """Multiply-accumulates spent on it."""

    def uint8(self) -> npt.NDArray[np.uint8]:
        """The samples in 8 bits: (h,w,3), or with alpha (h,w,4)."""
        parts = [self.pixels] if self.alpha is None else [self.pixels, self.alpha[..., None]]
        return np.asarray(quantize(np.concatenate(parts, axis=2)), np.uint8)

    def to_pil(self) -> "PIL.Image.Image":
        """A Pillow image of 8 bits, L, LA, RGB or RGBA, with the colour profile of the source."""
        try:
            import PIL.Image
        except ModuleNotFoundError:
            raise ImageError(
                "to_pil needs Pillow, which is not installed; pip install pillow"
            ) from None
        samples = self.uint8()
        if self.header.grey:
            samples = np.delete(samples, (1, 2), axis=2)
        image = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        if self.header.metadata.icc:
            image.info["icc_profile"] = self.header.metadata.icc
        return image

    def save(
        self, path: str | PathLike[str], quality: int | None = None, bits: Bits | None = None
    ) -> None:
        """Write it in the format of the path's suffix, with its source's metadata; see `Sink`.

        The samples are as deep as the source's where the format holds that, or `bits` deep: 8,
        16, or 32 (float, TIFF only). `quality` from 1 to 100 is for JPEG, WebP and AVIF.
        ImageError when it can't be written; then nothing is.
        """
        height, width = self.pixels.shape[:2]
        header = self.header if bits is None else replace(self.header, bits=bits)
        with Sink(Path(path), height, width, header, quality) as sink:
            for top in range(0, height, _ROWS):
                part = slice(top, top + _ROWS)
                sink.write(self.pixels[part], None if self.alpha is None else self.alpha[part])
