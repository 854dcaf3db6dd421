"""EXIF in an AVIF file, byte for byte: libvips writes it anew, and adds to it."""

import struct
from collections.abc import Iterator
from typing import BinaryIO


def set_exif(file: BinaryIO, block: bytes) -> None:
    """Let the file's EXIF item be this block, which is put behind all it holds.

    A file that has no such item, or one in several pieces, stays as it is.
    """
    file.seek(0)
    meta_at, meta = next(
        ((at, body) for at, kind, body in _boxes_of(file) if kind == b"meta"), (0, b"")
    )
    boxes = {kind: (at, body) for at, kind, body in _boxes(meta, 4)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    item = _item(boxes[b"iinf"][1], b"Exif")
    place = _extent(boxes[b"iloc"][1], item)
    if place is None:
        return
    iloc_at = meta_at + boxes[b"iloc"][0]
    told = struct.pack(">I", 0) + block
    end = file.seek(0, 2)
    file.write(struct.pack(">I4s", 8 + len(told), b"mdat") + told)
    base, extent = place
    file.seek(iloc_at + base)
    file.write(struct.pack(">I", end + 8))
    file.seek(iloc_at + extent)
    file.write(struct.pack(">II", 0, len(told)))


def _boxes_of(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """The file's boxes up to its pixels: where each body begins, its kind, its body."""
    at = 0
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if size < 8 or kind == b"mdat":
            return
        yield at + 8, kind, file.read(size - 8)
        at += size


def _boxes(data: bytes, at: int) -> Iterator[tuple[int, bytes, bytes]]:
    """The boxes in a box, from `at` on."""
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield at + 8, kind, data[at + 8 : at + size]
        at += size


def _item(items: bytes, wanted: bytes) -> int:
    """The number of the first item of this type; -1 where there is none."""
    for _, kind, body in _boxes(items, 6 if items[0] == 0 else 8):
        if kind == b"infe" and body[0] == 2 and body[8:12] == wanted:
            return int(struct.unpack_from(">H", body, 4)[0])
    return -1


def _extent(places: bytes, wanted: int) -> tuple[int, int] | None:
    """Where in an `iloc` box an item's base stands, and where the offset and length from there.

    None where they are not four bytes each, as libheif writes them.
    """
    version, sizes = places[0], struct.unpack_from(">H", places, 4)[0]
    if version > 1 or sizes & 0xFFF0 != 0x4440:
        return None
    index = sizes & 0xF if version else 0
    (count,) = struct.unpack_from(">H", places, 6)
    at = 8
    for _ in range(count):
        (item,) = struct.unpack_from(">H", places, at)
        base = at + 4 + 2 * version
        (extents,) = struct.unpack_from(">H", places, base + 4)
        at = base + 6
        if item == wanted:
            return (base, at + index) if extents == 1 else None
        at += extents * (index + 8)
    return None
