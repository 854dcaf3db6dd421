"""The file format `.mmc`: a header that names the codec and lists the layers, then the layers.

See docs/codec.md. Every length is checked against the file before anything is read or allocated,
every layer against its CRC-32.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Self

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image.header import Header, Metadata, Resolution, sensible

MAGIC = b"\x89MMC"
FORMAT = 1
_START = struct.Struct("<4sBH")
_SIZE = struct.Struct("<IIB")
_RANGE = struct.Struct("<dd")
_RESOLUTION = struct.Struct("<ff")
_LAYER = struct.Struct("<BII")
_CRC = struct.Struct("<I")
_GREY, _ALPHA, _RESOLVED = 1, 2, 16
_DEPTHS = {8: 0, 16: 4, 32: 8}
_DIGEST = 8
_MOST_LAYERS = 16
_MOST_METADATA = 2**26
_LONGEST = 2**31 - 1


class Kind(IntEnum):
    """What a layer holds. Readers pass over kinds that they don't know."""

    BASE = 1
    ALPHA = 2
    EXIF = 3
    ICC = 4
    XMP = 5
    RESIDUAL = 6


_METADATA = {Kind.EXIF: "exif", Kind.ICC: "icc", Kind.XMP: "xmp"}


@dataclass(frozen=True)
class Layer:
    """Where a layer lies in the file."""

    kind: int
    at: int
    size: int
    crc: int


@dataclass(frozen=True)
class Contents:
    """A file's header: the image's facts, the codec it needs, and its layers.

    `digest` are the first bytes of the codec's: see `Codec.digest`. Metadata is not in `header`
    until `read_metadata` has read it.
    """

    header: Header
    codec: str
    version: str
    digest: bytes
    layers: tuple[Layer, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Self:
        """The header of a file; ImageError when it is none, newer, or damaged."""
        with path.open("rb") as file:
            start = file.read(_START.size)
            if len(start) < _START.size or not start.startswith(MAGIC):
                raise ImageError(f"{path}: not an .mmc file")
            _, version, size = _START.unpack(start)
            if version > FORMAT:
                raise ImageError(
                    f"{path}: .mmc format {version} is newer than this mmsr reads ({FORMAT}); "
                    "upgrade mmsr"
                )
            body, crc = file.read(size), file.read(_CRC.size)
        if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(start + body):
            raise ImageError(f"{path}: its header is truncated or damaged")
        try:
            return cls(*_parsed(body, _START.size + size + _CRC.size))
        except (struct.error, ValueError):
            raise ImageError(f"{path}: its header makes no sense") from None

    def find(self, kind: Kind) -> Layer | None:
        """The layer of that kind, if there is one."""
        return next((layer for layer in self.layers if layer.kind == kind), None)

    def layer(self, path: Path, kind: Kind) -> bytes:
        """A layer's bytes, checked; ImageError when it isn't whole."""
        layer = self.find(kind)
        name = kind.name.lower()
        if layer is None:
            raise ImageError(f"{path}: it has no {name} layer")
        with path.open("rb") as file:
            if file.seek(0, 2) < layer.at + layer.size:
                raise ImageError(f"{path}: truncated within its {name} layer")
            file.seek(layer.at)
            data = file.read(layer.size)
        if len(data) < layer.size or zlib.crc32(data) != layer.crc:
            raise ImageError(f"{path}: its {name} layer is damaged (the checksum differs)")
        return data

    def read_metadata(self, path: Path) -> Header:
        """The header with the file's EXIF, ICC and XMP."""
        told: dict[str, Any] = {}
        for kind, name in _METADATA.items():
            if self.find(kind) is not None:
                told[name] = _inflated(path, name, self.layer(path, kind))
        return replace(self.header, metadata=replace(self.header.metadata, **told))


def write_container(file: BinaryIO, contents: Contents, layers: Mapping[Kind, bytes]) -> int:
    """Write header, layers and the header's metadata; how many bytes that were.

    The residual comes last: what is lost when a file is cut short is lost there first.
    """
    metadata = contents.header.metadata
    whole = {Kind.BASE: layers[Kind.BASE]}
    for kind, name in _METADATA.items():
        if data := getattr(metadata, name):
            whole[kind] = zlib.compress(data, 9)
    whole |= {kind: data for kind, data in sorted(layers.items()) if kind != Kind.BASE}
    body = _built(contents, whole)
    start = _START.pack(MAGIC, FORMAT, len(body)) + body
    size = file.write(start + _CRC.pack(zlib.crc32(start)))
    return size + sum(file.write(data) for data in whole.values())


def _built(contents: Contents, layers: Mapping[Kind, bytes]) -> bytes:
    header = contents.header
    resolution = header.metadata.resolution
    flags = _GREY * header.grey | _ALPHA * header.alpha | _DEPTHS[header.bits]
    flags |= _RESOLVED * (resolution is not None)
    parts = [_SIZE.pack(header.width, header.height, flags)]
    if header.bits == 32:
        parts.append(_RANGE.pack(*header.range))
    if resolution is not None:
        parts.append(_RESOLUTION.pack(*resolution))
    for text in (contents.codec.encode(), contents.version.encode()):
        parts.append(bytes([len(text)]) + text)
    parts += [contents.digest, bytes([len(layers)])]
    parts += [_LAYER.pack(kind, len(data), zlib.crc32(data)) for kind, data in layers.items()]
    return b"".join(parts)


def _parsed(body: bytes, at: int) -> tuple[Header, str, str, bytes, tuple[Layer, ...]]:
    """What `_built` made, the layers beginning at `at` of the file; ValueError when it can't be."""
    width, height, flags = _SIZE.unpack_from(body)
    place = _SIZE.size
    bits = {code: bits for bits, code in _DEPTHS.items()}.get(flags & 12)
    if not (0 < width <= _LONGEST and 0 < height <= _LONGEST) or bits is None or flags >> 5:
        raise ValueError
    extent, resolution = (0.0, 1.0), None
    if bits == 32:
        extent = _RANGE.unpack_from(body, place)
        place += _RANGE.size
        if not -1e30 < extent[0] < extent[1] < 1e30:
            raise ValueError
    if flags & _RESOLVED:
        resolution = sensible(_RESOLUTION.unpack_from(body, place))
        place += _RESOLUTION.size
    texts = []
    for _ in range(2):
        size = body[place] if place < len(body) else 0
        texts.append(body[place + 1 : place + 1 + size].decode("ascii"))
        place += 1 + size
    if not all(text and text.isprintable() for text in texts):
        raise ValueError
    digest = body[place : place + _DIGEST]
    place += _DIGEST
    count = body[place] if place < len(body) else 0
    if len(body) != place + 1 + count * _LAYER.size or not 1 <= count <= _MOST_LAYERS:
        raise ValueError
    layers = []
    for kind, size, crc in _LAYER.iter_unpack(body[place + 1 :]):
        layers.append(Layer(kind, at, size, crc))
        at += size
    if len({layer.kind for layer in layers}) < count:
        raise ValueError
    metadata = Metadata(resolution=Resolution(*resolution) if resolution else None)
    grey, alpha = bool(flags & _GREY), bool(flags & _ALPHA)
    header = Header(height, width, bits, grey, alpha, metadata, range=extent)  # type: ignore[arg-type]
    return header, texts[0], texts[1], digest, tuple(layers)


def _inflated(path: Path, name: str, data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, _MOST_METADATA)
    except zlib.error:
        found = None
    if found is None or not inflater.eof:
        raise ImageError(f"{path}: its {name} is damaged or too large")
    return found
