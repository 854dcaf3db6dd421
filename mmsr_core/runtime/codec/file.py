"""Files of the format `.mmc`, read as images are: see `Decoder`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import BundleError, ImageError
from mmsr_core.runtime.codec import residual
from mmsr_core.runtime.codec.alpha import decode_alpha
from mmsr_core.runtime.codec.codemap import Quantised, decode_map
from mmsr_core.runtime.codec.container import Contents, Kind
from mmsr_core.runtime.codec.entropy import Damaged
from mmsr_core.runtime.codec.quantiser import Quantiser
from mmsr_core.runtime.codec.transform import Codec, cells_of
from mmsr_core.runtime.image.header import Header
from mmsr_core.runtime.image.resize import Samples, quantize
from mmsr_core.runtime.tiles import Floats

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_STRIP = 64
_KINDS = {8: "u1", 16: "u2", 32: "f4"}


@dataclass(frozen=True)
class Codecs:
    """What opens `.mmc` files: `find` gives the codec of a name and a version, or raises
    MmsrError; `notice` is told what a file lost."""

    find: Callable[[str, str], Codec]
    notice: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class MmcFile:
    """An opened file: its code map is decoded, its pixels are when they are asked for."""

    path: Path
    header: Header
    codec: Codec
    quantiser: Quantiser
    numbers: Quantised
    alpha: Samples | None
    enhancement: bytes | None
    """The residual layer, where there is one and it is whole."""
    whole: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Decoder`."""
        return np.dtype(_KINDS[self.header.bits])

    def strips(self, rows: int) -> Iterator[Samples]:
        """See `Decoder`."""
        return _cut((self._samples(*part) for part in self._colour()), rows)

    def _colour(self) -> Iterator[tuple[int, Floats]]:
        """Rows of colour, each with the number of the first."""
        height, width = self.header.height, self.header.width
        base = _cut(self.codec.synthesise(self.quantiser, self.numbers, height, width), _STRIP)
        tops = range(0, height, _STRIP)
        if self.enhancement is None:
            yield from zip(tops, base, strict=True)
            return
        added = _cut(residual.decode_rows(self.enhancement, height, width), _STRIP)
        try:
            for top, rows, more in zip(tops, base, added, strict=True):
                yield top, rows + more
        except Damaged as error:
            raise ImageError(f"{self.path}: its residual layer is damaged ({error})") from None

    def _samples(self, top: int, colour: Floats) -> Samples:
        if self.header.grey:
            colour = (colour @ _LUMA)[..., None]
        if self.header.bits == 32:
            low, high = self.header.range
            samples: Samples = colour * np.float32(high - low) + np.float32(low)
        else:
            samples = quantize(colour, self.header.bits)
        if self.alpha is None:
            return samples
        alpha = self.alpha[top : top + len(samples)]
        if self.header.bits == 32:
            alpha = (alpha / np.float32(65535)).astype(np.float32)
        return np.concatenate([samples, alpha[..., None]], axis=2)


def open_mmc(path: Path, most: int, codecs: Codecs | None) -> MmcFile:
    """Open a file; ImageError when it is damaged or has more than `most` pixels, when its codec
    isn't here, or when there are no codecs at all. A residual layer that isn't whole is left
    out, with a notice."""
    contents = Contents.read(path)
    if codecs is None:
        raise ImageError(f"{path}: an .mmc file; decompress it first: mmsr decompress")
    height, width = contents.header.height, contents.header.width
    if height * width > most:
        raise ImageError(f"{path}: {width}x{height} pixels are more than the {most} to be read")
    try:
        codec = codecs.find(contents.codec, contents.version)
    except BundleError as error:
        name = f"{contents.codec}@{contents.version}"
        raise ImageError(f"{path}: needs the codec {name}, which isn't here: {error}") from None
    if codec.digest != contents.digest:
        raise ImageError(
            f"{path}: made with another {contents.codec}@{contents.version} than the one here "
            f"({contents.digest.hex()}, not {codec.digest.hex()}); get the one it was made with"
        )
    header = contents.read_metadata(path)
    base = contents.layer(path, Kind.BASE)
    cells = cells_of(height, width)
    try:
        quantiser, numbers = decode_map(codec.models, base, codec.manifest.channels, *cells)
    except Damaged as error:
        raise ImageError(f"{path}: its base layer is damaged ({error})") from None
    alpha = _alpha(path, contents) if header.alpha else None
    enhancement = None
    if contents.find(Kind.RESIDUAL) is not None:
        try:
            residual.check_decodes()
            enhancement = contents.layer(path, Kind.RESIDUAL)
        except ImageError as error:
            codecs.notice(f"{error}; it is read without")
    return MmcFile(path, header, codec, quantiser, numbers, alpha, enhancement)


def _alpha(path: Path, contents: Contents) -> Samples:
    """(h,w) of 8 or 16 bits."""
    header = contents.header
    data = contents.layer(path, Kind.ALPHA)
    try:
        return decode_alpha(data, header.height, header.width, 1 if header.bits == 8 else 2)
    except Damaged as error:
        raise ImageError(f"{path}: its alpha layer is damaged ({error})") from None


def _cut(strips: Iterable[Samples], rows: int) -> Iterator[Samples]:
    """The same rows, so many at a time."""
    held: list[Samples] = []
    count = 0
    for strip in strips:
        held.append(strip)
        count += len(strip)
        while count >= rows:
            together = np.concatenate(held) if len(held) > 1 else held[0]
            yield together[:rows]
            held, count = [together[rows:]], count - rows
    if count:
        yield np.concatenate(held)
