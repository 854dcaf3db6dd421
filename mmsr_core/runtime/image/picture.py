"""An image file opened: its facts, and its colour and alpha as sources of rows."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image.decode import DecodedWhole, Decoder, bands_of, decoder
from mmsr_core.runtime.image.header import Header
from mmsr_core.runtime.image.metadata import corrected
from mmsr_core.runtime.image.resize import Samples, to_float
from mmsr_core.runtime.image.transparent import extended_strips
from mmsr_core.runtime.source import Source
from mmsr_core.runtime.tiles import Floats

if TYPE_CHECKING:
    from mmsr_core.runtime.codec.file import Codecs

MOST_PIXELS = 2**30
_HUGE = 1e30
"""Float samples beyond leave no room to compute with."""
_ROWS = 128


@dataclass(frozen=True)
class Picture:
    """An opened image file. It keeps no file open between passes.

    `colour` gives (n,w,3), in [0,1] over `header.range`; where there is alpha it is not
    multiplied in, and carried on into what is transparent. `alpha` gives (n,w). `held` is how
    many bytes of samples are in memory from the first pass on.
    """

    path: Path
    header: Header
    colour: Source
    alpha: Source | None
    held: int


@dataclass(frozen=True)
class _Rows:
    """Rows of an opened file, as a `Source`."""

    height: int
    width: int
    made: Callable[[int], Iterator[Floats]]

    def strips(self, rows: int) -> Iterator[Floats]:
        """See `Source`."""
        return self.made(rows)


class _Kept:
    """A decoder whose samples are decoded once, by whoever asks first."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._lock = threading.Lock()
        self._samples: Samples | None = None

    def strips(self, rows: int) -> Iterator[Samples]:
        """See `Decoder`."""
        with self._lock:
            if self._samples is None:
                header = self._decoder.header
                shape = (header.height, header.width, bands_of(header))
                samples = np.empty(shape, self._decoder.dtype)
                for number, strip in enumerate(self._decoder.strips(_ROWS)):
                    samples[number * _ROWS : number * _ROWS + len(strip)] = strip
                self._samples = samples
        for top in range(0, len(self._samples), rows):
            yield self._samples[top : top + rows]


def open_image(
    path: Path, hold: int = 2**28, most: int = MOST_PIXELS, codecs: "Codecs | None" = None
) -> Picture:
    """Open an image file; its pixels are decoded when rows are asked for.

    Samples of at most `hold` bytes are decoded once and kept as the integers they are; larger
    ones are decoded again for every pass. Palettes and CMYK become RGB, CMYK and Lab by way of
    colour management; of several pages or frames the first is taken. ImageError, before memory
    or time is spent, when the file is no image, or has more than `most` pixels; while rows are
    read, when it is damaged. An `.mmc` file needs `codecs` to find its own among.
    """
    opened = decoder(path, most, codecs)
    header = opened.header
    upright = corrected(header.metadata, header.height, header.width)
    header = replace(header, metadata=upright)
    size = header.height * header.width * bands_of(header) * opened.dtype.itemsize
    keep = size <= hold or opened.whole
    decoded = isinstance(opened, DecodedWhole)
    strips = _Kept(opened).strips if keep and not decoded else opened.strips
    if opened.dtype.kind == "f":
        header = replace(header, range=_range(path, header, strips))

    def colour(rows: int) -> Iterator[Floats]:
        if not header.alpha:
            return (_colour(strip, header) for strip in strips(rows))
        pairs = ((_colour(strip, header), _alpha(strip)) for strip in strips(rows))
        return extended_strips(pairs, rows)

    def alpha(rows: int) -> Iterator[Floats]:
        return (_alpha(strip) for strip in strips(rows))

    height, width = header.height, header.width
    return Picture(
        path,
        header,
        _Rows(height, width, colour),
        _Rows(height, width, alpha) if header.alpha else None,
        size if keep else 0,
    )


def _colour(strip: Samples, header: Header) -> Floats:
    """(n,w,3) in [0,1]."""
    colour = to_float(strip[..., : 1 if header.grey else 3])
    low, high = header.range
    if header.bits == 32:
        colour = (colour - np.float32(low)) / np.float32(high - low)
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _alpha(strip: Samples) -> Floats:
    """(n,w) in [0,1]."""
    return to_float(strip[..., -1]).clip(0, 1)


def _range(
    path: Path, header: Header, strips: Callable[[int], Iterator[Samples]]
) -> tuple[float, float]:
    """What a float file's colour reaches; (0, 1) where it doesn't leave that."""
    seen = []
    for strip in strips(_ROWS):
        if not (np.abs(strip) < _HUGE).all():
            raise ImageError(f"{path}: it holds NaN, infinite or huge samples; replace them first")
        colour = strip[..., : 1 if header.grey else 3]
        seen.append((float(colour.min()), float(colour.max())))
    low, high = min(one for one, _ in seen), max(one for _, one in seen)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1
