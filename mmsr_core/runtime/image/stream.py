"""Image files that libvips reads, most of them strip by strip."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import containers, exif
from mmsr_core.runtime.image.decode import bands_of, damaged, refuse_size, unreadable
from mmsr_core.runtime.image.header import Header, Metadata, sensible
from mmsr_core.runtime.image.resize import Samples
from mmsr_core.runtime.image.vips import libvips

_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_FOREIGN = ("cmyk", "lab", "labs", "lch", "xyz", "yxy", "labq")
"""Colours that become sRGB."""
_WHOLE = ("webp", "avif", "gif")
_HEAD = 2**16


@dataclass(frozen=True)
class Stream:
    """A `Decoder` by libvips. `turn` is the EXIF orientation of the pixels as they are stored."""

    path: Path
    loader: str
    header: Header
    dtype: np.dtype[Any]
    turn: int
    whole: bool

    def strips(self, rows: int) -> Iterator[Samples]:
        """See `Decoder`."""
        vips = libvips()
        bands = bands_of(self.header)
        try:
            picture = _upright(_converted(_load(self.path, self.loader, self.turn)), self.turn)
            if (picture.height, picture.width) != (self.header.height, self.header.width):
                raise ImageError(f"{self.path}: changed while it was read")
            region = vips.Region.new(picture)
            width, height = picture.width, picture.height
            for top in range(0, height, rows):
                count = min(rows, height - top)
                data = region.fetch(0, top, width, count)
                samples = np.frombuffer(data, self.dtype)
                yield samples.reshape(count, width, picture.bands)[..., :bands]
        except vips.Error:
            raise damaged(self.path) from None
        except OSError as error:
            raise unreadable(self.path, error) from None


def stream(path: Path, name: str, most: int, told: tuple[Metadata, int] | None = None) -> Stream:
    """The decoder of a file in the format `name`; ImageError when it isn't whole or is too large.

    `told` is its metadata and orientation, where they are known.
    """
    vips = libvips()
    loader = {"avif": "heif"}.get(name, name) + "load_source"
    try:
        picture = _load(path, loader, 1)
        refuse_size(path, picture.height, picture.width, most)
        metadata, turn = told or _metadata(path, name, picture)
        converted = _converted(picture)
    except vips.Error:
        raise damaged(path) from None
    if converted.format not in _TYPES or converted.bands > 4:
        raise ImageError(
            f"{path}: {converted.bands} channels of type {converted.format}; "
            "convert it to 8 or 16 bit RGB first"
        )
    dtype = np.dtype(_TYPES[converted.format])
    if picture.interpretation in _FOREIGN:
        metadata = replace(metadata, icc=b"")  # it spoke of the samples before
    height, width = converted.height, converted.width
    header = Header(
        height=width if turn >= 5 else height,
        width=height if turn >= 5 else width,
        bits={1: 8, 2: 16, 4: 32}[dtype.itemsize],  # type: ignore[arg-type]
        grey=converted.bands < 3,
        alpha=converted.bands in (2, 4),
        metadata=metadata,
        frames=picture.get("n-pages") if picture.get_typeof("n-pages") else 1,
    )
    return Stream(path, loader, header, dtype, turn, name in _WHOLE)


def blob(picture: Any, field: str) -> bytes:
    """Bytes that libvips found beside the pixels; none where there are none."""
    return bytes(picture.get(field)) if picture.get_typeof(field) else b""


def _load(path: Path, loader: str, turn: int) -> Any:
    """The picture, not decoded yet; in an order of rows that its orientation allows."""
    vips = libvips()
    handle = os.open(path, os.O_RDONLY)
    try:
        source = vips.Source.new_from_descriptor(handle)
    finally:
        os.close(handle)
    # A picture that is turned is decoded whole; libvips puts a large one on the disc meanwhile.
    access = "sequential" if turn in (1, 2) else "random"
    return getattr(vips.Image, loader)(source, access=access, fail_on="error")


def to_srgb(lab: Any, depth: int) -> Any:
    """Lab, which ICC and TIFF define for the white of D50, as sRGB of 8 or 16 bits."""
    return lab.icc_export(output_profile="srgb", pcs="lab", intent="relative", depth=depth)


def _converted(picture: Any) -> Any:
    """The picture in RGB or grey of 8 or 16 bits or float32."""
    if picture.interpretation == "cmyk":
        depth = 16 if picture.format == "ushort" else 8
        picture = picture.icc_transform(
            "srgb", embedded=True, input_profile="cmyk", intent="relative", depth=depth
        )
    elif picture.interpretation in _FOREIGN:
        picture = to_srgb(picture.colourspace("lab"), 16 if picture.format == "short" else 8)
    if picture.bands > 4 and picture.interpretation in ("srgb", "rgb16", "rgb", "scrgb"):
        picture = picture.extract_band(0, n=4)
    return picture


def _upright(picture: Any, turn: int) -> Any:
    """Undo an EXIF orientation."""
    if turn == 1:
        return picture
    picture = picture.copy()
    picture.set_type(libvips().GValue.gint_type, "orientation", turn)
    return picture.autorot()


def _metadata(path: Path, name: str, picture: Any) -> tuple[Metadata, int]:
    """What the file tells, and the orientation of the pixels as they are stored."""
    block = blob(picture, "exif-data").removeprefix(b"Exif\0\0")
    turn = exif.orientation(block)
    with path.open("rb") as file:
        resolution = containers.resolution(name, file.read(_HEAD)) or exif.resolution(block)
    if name == "avif":
        turn = 1  # applied by the decoder: there EXIF only repeats what the file says by itself
    if turn >= 5 and resolution:
        resolution = resolution[::-1]
    metadata = Metadata(
        exif=block,
        icc=blob(picture, "icc-profile-data"),
        xmp=blob(picture, "xmp-data").rstrip(b"\0"),
        resolution=sensible(resolution),
    )
    return metadata, turn
