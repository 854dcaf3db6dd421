"""Image files as samples: which decoder reads which file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image.header import Header
from mmsr_core.runtime.image.resize import Samples

if TYPE_CHECKING:
    from mmsr_core.runtime.codec.file import Codecs

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"\x89MMC", "mmc"),
)
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class Decoder(Protocol):
    """An image file that gives its samples from top to bottom, as often as it is asked.

    Upright; uint8, uint16 or float32; in sRGB, or in the RGB or grey of the file's own profile.
    """

    @property
    def header(self) -> Header:
        """The file's facts, but for the range of its floats."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its samples."""

    @property
    def whole(self) -> bool:
        """Whether decoding one row takes as much memory as decoding all."""

    def strips(self, rows: int) -> Iterator[Samples]:
        """(n,w,bands), `rows` at a time; ImageError when the file turns out to be damaged."""


@dataclass(frozen=True)
class DecodedWhole:
    """A file that was decoded at once when it was opened."""

    header: Header
    samples: Samples
    whole: bool = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Decoder`."""
        return self.samples.dtype

    def strips(self, rows: int) -> Iterator[Samples]:
        """See `Decoder`."""
        for top in range(0, len(self.samples), rows):
            yield self.samples[top : top + rows]


def bands_of(header: Header) -> int:
    """Samples of a pixel: 1 grey, 2 with alpha, 3 colour, 4 with alpha (not multiplied in)."""
    return (1 if header.grey else 3) + header.alpha


def decoder(path: Path, most: int, codecs: "Codecs | None" = None) -> Decoder:
    """The decoder of a file; ImageError when it has more than `most` pixels, or isn't readable.

    `codecs` are for `.mmc` files, which are refused without.
    """
    name = _sniffed(path)
    try:
        if name == "mmc":
            from mmsr_core.runtime.codec.file import open_mmc

            return open_mmc(path, most, codecs)
        if name == "bmp":
            from mmsr_core.runtime.image.others import bmp

            return bmp(path, most)
        if name == "heic":
            from mmsr_core.runtime.image.others import heic

            return heic(path, most)
        if name == "tiff":
            from mmsr_core.runtime.image.tiff import tiff

            return tiff(path, most)
        from mmsr_core.runtime.image.stream import stream

        return stream(path, name, most)
    except OSError as error:
        raise unreadable(path, error) from None


def _sniffed(path: Path) -> str:
    """The format by the file's first bytes. ImageError when it can't be read or isn't known."""
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise ImageError(f"{path}: is {what}, not an image")
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise unreadable(path, error) from None
    if not head:
        raise ImageError(f"{path}: the file is empty")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, 64, 4))]
        if any(brand in _AVIF for brand in brands):
            return "avif"
        if any(brand in _HEIC for brand in brands):
            return "heic"
    raise ImageError(f"{path}: not an image in a known format")


def unreadable(path: Path, error: OSError) -> ImageError:
    """The one line for a file that the system doesn't give."""
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path}: no such file")
    return ImageError(f"{path}: cannot read it ({error.strerror or error})")


def damaged(path: Path) -> ImageError:
    """The one line for a file that its decoder doesn't understand."""
    return ImageError(f"{path}: truncated or damaged")


def refuse_size(path: Path, height: int, width: int, most: int) -> None:
    """ImageError when there are more than `most` pixels."""
    if height * width > most:
        raise ImageError(
            f"{path}: {width}x{height} is larger than {most:,} pixels; cut it into parts"
        )
