"""TIFF files: what their tags tell, and the kinds of them that libvips does not read."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.image import exif
from mmsr_core.runtime.image.decode import DecodedWhole, Decoder, damaged, refuse_size
from mmsr_core.runtime.image.directories import Tags, Tiff, open_tiff
from mmsr_core.runtime.image.header import Header, Metadata, sensible
from mmsr_core.runtime.image.others import from_opencv, quiet_opencv
from mmsr_core.runtime.image.stream import stream, to_srgb
from mmsr_core.runtime.image.vips import libvips

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR = 0x0100, 0x0101, 0x0102, 0x0103, 0x0106
_FACTS = (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR)
_XMP, _ICC = 700, 34675
_YCBCR, _LAB = 6, 8
_JPEG = 7


def tiff(path: Path, most: int) -> Decoder:
    """The decoder of a TIFF file. ImageError when it is damaged or has more than `most` pixels.

    libvips hands uncompressed YCbCr over as it is, and refuses 64 bit floats and 8 bit Lab: the
    first two are read by OpenCV, the last as what it is not and then converted.
    """
    try:
        with path.open("rb") as file:

            def read(at: int, size: int) -> bytes:
                file.seek(at)
                return file.read(size)

            opened = open_tiff(read)
            if opened is None:
                raise damaged(path)
            tags = opened.directory(opened.first)
            facts = {tag: opened.number(tags[tag]) if tag in tags else 0 for tag in _FACTS}
            metadata, turn = _metadata(opened, tags)
    except (struct.error, OverflowError, ValueError):
        raise damaged(path) from None
    refuse_size(path, facts[_HEIGHT], facts[_WIDTH], most)
    colour, bits = facts[_COLOUR], facts[_BITS]
    if colour == _LAB and bits == 8:
        samples = _lab(path, tags[_COLOUR].at, opened.order)
        metadata = replace(metadata, icc=b"")
    elif (colour == _YCBCR and facts[_COMPRESSION] != _JPEG) or bits == 64:
        with quiet_opencv():
            found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is None:
            raise damaged(path)
        samples = from_opencv(found)
    else:
        return stream(path, "tiff", most, (metadata, turn))
    samples = _upright(samples, turn)
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32)
    height, width, bands = samples.shape
    header = Header(
        height,
        width,
        bits={1: 8, 2: 16, 4: 32}[samples.itemsize],  # type: ignore[arg-type]
        grey=bands < 3,
        alpha=bands in (2, 4),
        metadata=metadata,
    )
    return DecodedWhole(header, samples)


def _metadata(opened: Tiff, tags: Tags) -> tuple[Metadata, int]:
    turn = opened.number(tags[exif.ORIENTATION]) if exif.ORIENTATION in tags else 1
    turn = turn if 1 <= turn <= 8 else 1
    resolution = exif.resolution_in(opened, tags)
    if turn >= 5 and resolution:
        resolution = resolution[::-1]
    metadata = Metadata(
        exif=exif.from_tiff(opened),
        icc=tags[_ICC].value if _ICC in tags else b"",
        xmp=tags[_XMP].value.rstrip(b"\0") if _XMP in tags else b"",
        resolution=sensible(resolution),
    )
    return metadata, turn


def _lab(path: Path, colour_at: int, order: str) -> npt.NDArray[Any]:
    """8 bit Lab as sRGB: the file is read as if it were RGB, which leaves its samples alone."""
    vips = libvips()
    data = bytearray(path.read_bytes())
    struct.pack_into(order + "H", data, colour_at, 2)
    try:
        raw = vips.Image.tiffload_buffer(bytes(data), fail_on="error")
        light = raw[0] * (100 / 255)
        a, b = ((raw[band] > 127).ifthenelse(raw[band] - 256, raw[band]) for band in (1, 2))
        lab = light.bandjoin([a, b]).cast("float").copy(interpretation="lab")
        return np.asarray(to_srgb(lab, 8).numpy())
    except vips.Error:
        raise damaged(path) from None


def _upright(samples: npt.NDArray[Any], turn: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation: 2–4 mirror or turn by 180°, 5–8 swap the axes as well."""
    if turn >= 5:
        samples = samples.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        samples = samples[::-1]
    if turn in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)
