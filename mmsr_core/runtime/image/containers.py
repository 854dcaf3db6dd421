"""Metadata put into encoded files, byte for byte.

libvips writes EXIF anew, with fields that nobody asked for, and claims a resolution where none
is known; so what it writes carries no metadata, and these put it in.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from mmsr_core.runtime.image import exif
from mmsr_core.runtime.image.directories import Entry, open_tiff
from mmsr_core.runtime.image.header import Metadata

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_SEGMENT = 65533
"""The most bytes that one JPEG segment holds."""


def resolution(name: str, head: bytes) -> tuple[float, float] | None:
    """Pixels to the inch, across and down, as the beginning of a PNG, JPEG or BMP tells them."""
    try:
        if name == "png":
            at = len(_PNG)
            while head[at + 4 : at + 8] not in (b"pHYs", b"IDAT", b""):
                at += 12 + struct.unpack_from(">I", head, at)[0]
            if head[at + 4 : at + 8] == b"pHYs":
                across, down, unit = struct.unpack_from(">IIB", head, at + 8)
                return _told(across * 0.0254, down * 0.0254) if unit == 1 else None
        if name == "jpeg" and head[6:11] == b"JFIF\0":
            unit, across, down = struct.unpack_from(">BHH", head, 13)
            scale = {1: 1.0, 2: 2.54}.get(unit, 0.0)
            return _told(across * scale, down * scale)
        if name == "bmp":
            across, down = struct.unpack_from("<ii", head, 38)
            return _told(across * 0.0254, down * 0.0254)
    except struct.error:
        pass
    return None


def _told(across: float, down: float) -> tuple[float, float] | None:
    return (across, down) if across > 0 and down > 0 else None


def png_head(head: bytes, metadata: Metadata) -> bytes:
    """The beginning of a PNG file up to its first pixels, with the metadata as chunks."""
    chunks = []
    if metadata.icc:
        chunks.append(b"iCCPICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.resolution:
        across, down = (round(dpi / 0.0254) for dpi in metadata.resolution)
        chunks.append(b"pHYs" + struct.pack(">IIB", across, down, 1))
    if metadata.exif:
        chunks.append(b"eXIf" + metadata.exif)
    if metadata.xmp:
        chunks.append(b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    made = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )
    kept, at = b"", len(_PNG)
    while head[at + 4 : at + 8] in (b"IHDR", b"pHYs"):
        end = at + 12 + struct.unpack_from(">I", head, at)[0]
        if head[at + 4 : at + 8] == b"IHDR":
            kept += head[at:end]
        at = end
    return _PNG + kept + made + head[at:]


def jpeg_head(head: bytes, metadata: Metadata) -> bytes:
    """The beginning of a JPEG file, with the metadata as segments.

    An ICC profile is spread over several segments, and so is XMP by what XMP calls extended;
    EXIF too long for one is left out.
    """
    density = (0, 1, 1)
    if metadata.resolution:
        across, down = (min(65535, round(dpi)) for dpi in metadata.resolution)
        density = (1, across, down)
    jfif = b"JFIF\0\1\1" + struct.pack(">BHH", *density) + bytes(2)
    segments = [(0xE0, jfif)]
    if metadata.exif:
        segments.append((0xE1, _EXIF + metadata.exif))
    if metadata.xmp:
        segments.append((0xE1, _XMP + metadata.xmp))
    room = _SEGMENT - len(_ICC) - 2
    pieces = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
    if len(pieces) < 256:
        for number, piece in enumerate(pieces, 1):
            segments.append((0xE2, _ICC + bytes((number, len(pieces))) + piece))
    made = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in segments
        if len(body) <= _SEGMENT
    )
    rest = 2
    if head[2:4] == b"\xff\xe0":
        rest = 4 + struct.unpack_from(">H", head, 4)[0]
    return head[:2] + made + head[rest:]


def into_webp(data: bytes, height: int, width: int, metadata: Metadata) -> bytes:
    """A WebP file with the metadata as chunks around its pixels."""
    if not (metadata.icc or metadata.exif or metadata.xmp):
        return data
    chunks = {kind: body for kind, body in _riff(data) if kind not in (b"VP8X", b"ICCP")}
    alpha = b"ALPH" in chunks or (b"VP8L" in chunks and bool(chunks[b"VP8L"][4] & 0x10))
    flags = 0x20 * bool(metadata.icc) | 0x10 * alpha
    flags |= 0x08 * bool(metadata.exif) | 0x04 * bool(metadata.xmp)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    wanted = [(b"VP8X", struct.pack("<I", flags) + sides), (b"ICCP", metadata.icc)]
    wanted += [*chunks.items(), (b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)]
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        for kind, data in wanted
        if data
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def into_bmp(data: bytes, metadata: Metadata) -> bytes:
    """A BMP file with the resolution, which is all that it can tell."""
    told = metadata.resolution or (0.0, 0.0)
    return data[:38] + struct.pack("<ii", *(round(dpi / 0.0254) for dpi in told)) + data[46:]


def into_tiff(file: BinaryIO, metadata: Metadata) -> None:
    """Give a TIFF file a directory that tells the metadata too, behind all it holds.

    Without a resolution that nobody knows. Malformed EXIF is left out.
    """

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    tiff = open_tiff(read)
    assert tiff is not None
    tags = dict(tiff.directory(tiff.first))
    if metadata.resolution is None:
        tags = {tag: entry for tag, entry in tags.items() if tag not in exif.RESOLUTION}
    for tag, kind, value in ((700, 1, metadata.xmp), (34675, 7, metadata.icc)):
        if value:
            tags[tag] = Entry(tag, kind, len(value), 0, value)
    end = file.seek(0, 2)
    end += file.write(bytes(-end % 8))
    try:
        made, start = exif.into_tiff(metadata.exif, tiff, tags, end)
    except struct.error:
        made, start = exif.into_tiff(b"", tiff, tags, end)
    file.seek(end)
    file.write(made)
    place, form = (8, "Q") if tiff.big else (4, "I")
    file.seek(place)
    file.write(struct.pack(tiff.order + form, start))
