"""EXIF, ICC and XMP: the bytes that travel beside an image's pixels.

OpenCV reads them, except from TIFF. It writes them well only to WebP: in a JPEG it drops XMP
and fails on a large ICC profile, in a PNG it mangles XMP and fails on a profile that libpng
dislikes, in a TIFF it writes none. So PNG, JPEG and TIFF are written here.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Metadata = Mapping[str, bytes]
"""Bytes by kind, "exif", "icc" or "xmp", without the prefix that a container puts first."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PREFIXES = {"exif": b"Exif\0\0", "icc": b"ICC_PROFILE\0", "xmp": b"http://ns.adobe.com/xap/1.0/\0"}
_SEGMENT = 65533
"""The most bytes that one JPEG segment holds."""
_ORIENTATION = 0x0112
_TIFF_TAGS = {"xmp": (700, 1), "icc": (34675, 7)}
"""Tag and type of a TIFF entry. EXIF is many tags of a TIFF, not one: it isn't carried."""


class _Entry(NamedTuple):
    """An entry of the first directory (IFD) of a TIFF or EXIF structure."""

    tag: int
    size: int
    value_at: int
    order: str


def _entries(data: bytes) -> Iterator[_Entry]:
    """The first directory's entries; struct.error where the bytes end too early."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        tag, _, size = struct.unpack_from(order + "HHI", data, at)
        yield _Entry(tag, size, at + 8, order)


def bare(metadata: Metadata) -> dict[str, bytes]:
    """The metadata as OpenCV hands it over, without what belongs to the container."""
    kept = {kind: data.removeprefix(_PREFIXES[kind]) for kind, data in metadata.items()}
    if "xmp" in kept:
        kept["xmp"] = kept["xmp"].rstrip(b"\0")
    return kept


def take_orientation(metadata: Metadata) -> tuple[int, dict[str, bytes]]:
    """The EXIF orientation, 1 to 8, and the metadata with it reset to 1 (upright).

    XMP repeats the orientation, so it is reset there as well. Malformed EXIF means 1.
    """
    kept = dict(metadata)
    exif = bytearray(metadata.get("exif", b""))
    try:
        for entry in _entries(bytes(exif)):
            (value,) = struct.unpack_from(entry.order + "H", exif, entry.value_at)
            if entry.tag == _ORIENTATION and 1 < value <= 8:
                struct.pack_into(entry.order + "H", exif, entry.value_at, 1)
                kept["exif"] = bytes(exif)
                if "xmp" in kept:
                    reset = rb"\g<1>1"
                    kept["xmp"] = re.sub(
                        rb"(tiff:Orientation(?:=[\"']|>))[2-8]", reset, kept["xmp"]
                    )
                return value, kept
    except struct.error:
        pass
    return 1, kept


def from_tiff(data: bytes) -> dict[str, bytes]:
    """The ICC profile and XMP of a TIFF file; what is malformed is left out."""
    kinds = {tag: kind for kind, (tag, _) in _TIFF_TAGS.items()}
    found = {}
    try:
        for entry in _entries(data):
            if entry.tag in kinds and entry.size > 4:
                (start,) = struct.unpack_from(entry.order + "I", data, entry.value_at)
                found[kinds[entry.tag]] = data[start : start + entry.size]
    except struct.error:
        pass
    return found


def is_whole_png(data: bytes) -> bool:
    """Whether every chunk up to the end mark is there and matches its checksum."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return False
        if zlib.crc32(memoryview(data)[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def into_png(data: bytes, metadata: Metadata) -> bytes:
    """A PNG file with the metadata as chunks behind its header."""
    chunks = []
    if "icc" in metadata:
        chunks.append(b"iCCPICC profile\0\0" + zlib.compress(metadata["icc"]))
    if "exif" in metadata:
        chunks.append(b"eXIf" + metadata["exif"])
    if "xmp" in metadata:
        chunks.append(b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + metadata["xmp"])
    made = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )
    header_end = len(PNG_SIGNATURE) + 25
    return data[:header_end] + made + data[header_end:]


def into_jpeg(data: bytes, metadata: Metadata) -> bytes:
    """A JPEG file with the metadata as segments behind its JFIF header.

    An ICC profile is spread over several segments; EXIF or XMP too long for one is left out.
    """
    segments = []
    for kind in ("exif", "xmp"):
        if kind in metadata:
            segments.append((0xE1, _PREFIXES[kind] + metadata[kind]))
    icc = metadata.get("icc", b"")
    room = _SEGMENT - len(_PREFIXES["icc"]) - 2
    pieces = [icc[at : at + room] for at in range(0, len(icc), room)]
    if len(pieces) < 256:
        for number, piece in enumerate(pieces, 1):
            segments.append((0xE2, _PREFIXES["icc"] + bytes((number, len(pieces))) + piece))
    made = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in segments
        if len(body) <= _SEGMENT
    )
    (jfif,) = struct.unpack_from(">H", data, 4)
    return data[: 4 + jfif] + made + data[4 + jfif :]


def into_tiff(data: bytes, metadata: Metadata) -> bytes:
    """A little-endian TIFF file with ICC and XMP: a longer directory takes the old one's place."""
    extra = {kind: metadata[kind] for kind in _TIFF_TAGS if len(metadata.get(kind, b"")) > 4}
    if not extra or data[:4] != b"II*\0":
        return data
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [data[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    body = data + b"\0" * (len(data) % 2)
    for kind, content in extra.items():
        tag, sort = _TIFF_TAGS[kind]
        entries.append(struct.pack("<HHII", tag, sort, len(content), len(body)))
        body += content + b"\0" * (len(content) % 2)
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return body[:4] + struct.pack("<I", len(body)) + body[8:] + directory
