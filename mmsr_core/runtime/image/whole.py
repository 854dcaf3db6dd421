"""Whole images: read into memory, and written from it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsr_core.runtime.image.formats import Bits
from mmsr_core.runtime.image.header import Header, Metadata
from mmsr_core.runtime.image.picture import open_image
from mmsr_core.runtime.image.sink import Sink
from mmsr_core.runtime.source import Source
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
    header = picture.header
    return Image(
        rgb=_gathered(picture.colour),
        alpha=None if picture.alpha is None else _gathered(picture.alpha),
        bits=header.bits,
        grey=header.grey,
        metadata=header.metadata,
        range=header.range,
    )


def _gathered(source: Source) -> Floats:
    made: Floats | None = None
    top = 0
    for rows in source.strips(_ROWS):
        if made is None:
            made = np.empty((source.height, *rows.shape[1:]), np.float32)
        made[top : top + len(rows)] = rows
        top += len(rows)
    assert made is not None
    return made


def write(path: Path, image: Image, quality: int | None = None) -> None:
    """Write an image in the format of the suffix: see `Sink`, whose errors it raises."""
    height, width = image.rgb.shape[:2]
    with Sink(path, height, width, image.header, quality) as sink:
        for top in range(0, height, _ROWS):
            rows = slice(top, top + _ROWS)
            sink.write(image.rgb[rows], None if image.alpha is None else image.alpha[rows])
