"""Whole images: read into memory, and written from it."""

from dataclasses import dataclass, field
from pathlib import Path

from mmsr_core.runtime.image.formats import Bits
from mmsr_core.runtime.image.header import Header, Metadata
from mmsr_core.runtime.image.picture import open_image
from mmsr_core.runtime.image.sink import Sink
from mmsr_core.runtime.source import gathered
from mmsr_core.runtime.tiles import Floats

_ROWS = 256


@dataclass(frozen=True)
class Image:
    """An image upright, with what its file says beside the pixels.

    `rgb` (h,w,3) and `alpha` (h,w) are float32 in [0,1], alpha not multiplied in; the rest is
    that of `Header`.
    """

    rgb: Floats
    alpha: Floats | None = None
    bits: Bits = 8
    grey: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    range: tuple[float, float] = (0.0, 1.0)

    @property
    def header(self) -> Header:
        """What a file of this image says beside its pixels."""
        height, width = self.rgb.shape[:2]
        alpha = self.alpha is not None
        return Header(height, width, self.bits, self.grey, alpha, self.metadata, range=self.range)


def read(path: Path) -> Image:
    """Read an image whole: see `open_image`, whose errors it raises, and `Picture`."""
    picture = open_image(path, hold=0)
    header, alpha = picture.header, picture.alpha
    shape = header.height, header.width
    return Image(
        rgb=gathered(picture.colour.strips(_ROWS), (*shape, 3)),
        alpha=None if alpha is None else gathered(alpha.strips(_ROWS), shape),
        bits=header.bits,
        grey=header.grey,
        metadata=header.metadata,
        range=header.range,
    )


def write(path: Path, image: Image, quality: int | None = None) -> None:
    """Write an image in the format of the suffix: see `Sink`, whose errors it raises."""
    height, width = image.rgb.shape[:2]
    with Sink(path, height, width, image.header, quality) as sink:
        for top in range(0, height, _ROWS):
            rows = slice(top, top + _ROWS)
            sink.write(image.rgb[rows], None if image.alpha is None else image.alpha[rows])
