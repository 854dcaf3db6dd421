"""EXIF, which is a TIFF of directories without pixels: read, corrected in place, and moved.

A correction changes the few bytes it is about and no offset, so that a MakerNote, whose inner
offsets nobody knows, stays as it was. What is malformed is left as it is.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress

from mmsr_core.runtime.image.directories import (
    EXIF_AT,
    GPS_AT,
    INTEROP_AT,
    Entry,
    Tags,
    Tiff,
    in_bytes,
    laid,
    open_tiff,
    swapped,
)

ORIENTATION, WIDTH, HEIGHT = 0x0112, 0x0100, 0x0101
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
RESOLUTION = (0x011A, 0x011B, 0x0128)
_THUMBNAIL_AT, _THUMBNAIL_BYTES = 0x0201, 0x0202
_TOLD = {
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
    *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
}
"""Tags of a TIFF's first directory that tell of the picture, not of how its pixels are stored."""


def resolution_alone(across: float, down: float) -> bytes:
    """A block that tells the resolution and nothing else."""
    tags = {
        tag: Entry(tag, 5, 1, 0, struct.pack("<II", round(dpi * 10000), 10000))
        for tag, dpi in zip(RESOLUTION, (across, down), strict=False)
    }
    tags[RESOLUTION[2]] = Entry(RESOLUTION[2], 3, 1, 0, struct.pack("<H", 2))
    made, at = laid(tags, {}, "<", "<", 8, big=False)
    return b"II" + struct.pack("<HI", 42, at) + made


def orientation(block: bytes) -> int:
    """1 to 8; 1 where none is told or the block is malformed."""
    tiff = open_tiff(in_bytes(block))
    try:
        if tiff and ORIENTATION in (tags := tiff.directory(tiff.first)):
            told = tiff.number(tags[ORIENTATION])
            return told if 1 <= told <= 8 else 1
    except struct.error:
        pass
    return 1


def resolution(block: bytes) -> tuple[float, float] | None:
    """Pixels to the inch, across and down; None where it isn't told, or the block is malformed."""
    tiff = open_tiff(in_bytes(block))
    try:
        return resolution_in(tiff, tiff.directory(tiff.first)) if tiff else None
    except struct.error:
        return None


def resolution_in(tiff: Tiff, tags: Tags) -> tuple[float, float] | None:
    """`resolution` of a directory."""
    across, down = (tags.get(tag) for tag in RESOLUTION[:2])
    unit = tiff.number(tags[RESOLUTION[2]]) if RESOLUTION[2] in tags else 2
    if not across or not down or unit not in (2, 3):
        return None
    found = []
    for entry in (across, down):
        if entry.kind != 5 or len(entry.value) < 8:
            return None
        upper, lower = struct.unpack_from(tiff.order + "II", entry.value)
        if not upper or not lower:
            return None
        found.append(upper / lower * (2.54 if unit == 3 else 1))
    return found[0], found[1]


def corrected(block: bytes, height: int, width: int) -> bytes:
    """The block for upright pixels of this size: orientation 1, sizes, and no stale thumbnail."""
    tiff = open_tiff(in_bytes(block))
    if tiff is None:
        return block
    changed = bytearray(block)
    try:
        main = tiff.directory(tiff.first)
        _set(changed, tiff, main, {ORIENTATION: 1, WIDTH: width, HEIGHT: height})
        _drop_thumbnail(changed, tiff)
        if EXIF_AT in main:
            inner = tiff.directory(tiff.number(main[EXIF_AT]))
            _set(changed, tiff, inner, {PIXEL_X: width, PIXEL_Y: height})
    except struct.error:
        pass
    return bytes(changed)


def _set(block: bytearray, tiff: Tiff, tags: Tags, values: Mapping[int, int]) -> None:
    for tag, value in values.items():
        entry = tags.get(tag)
        form = {3: "H", 4: "I"}.get(entry.kind) if entry else None
        if entry is None or form is None or entry.values != 1:
            continue
        if form == "H" and value > 0xFFFF:
            # As one LONG in the four bytes of the entry, where the SHORT was.
            struct.pack_into(tiff.order + "H", block, entry.at - 6, 4)
            form = "I"
        struct.pack_into(tiff.order + form, block, entry.at, value)


def _drop_thumbnail(block: bytearray, tiff: Tiff) -> None:
    told, second = tiff.following(tiff.first)
    if not second:
        return
    struct.pack_into(tiff.order + "I", block, told, 0)
    tags = tiff.directory(second)
    if _THUMBNAIL_AT in tags and _THUMBNAIL_BYTES in tags:
        start, size = (tiff.number(tags[tag]) for tag in (_THUMBNAIL_AT, _THUMBNAIL_BYTES))
        end = min(start + size, len(block))
        block[start:end] = bytes(max(0, end - start))
        if end == len(block):
            del block[start:]


def from_tiff(tiff: Tiff) -> bytes:
    """What a TIFF file tells of its picture, as a block; empty where it tells nothing.

    struct.error where the file is malformed.
    """
    main = tiff.directory(tiff.first)
    told = {tag: entry for tag, entry in main.items() if tag in _TOLD}
    groups = _groups(tiff, main)
    if not told and not groups:
        return b""
    made, at = laid(told, groups, tiff.order, tiff.order, 8, big=False)
    head = {"<": b"II", ">": b"MM"}[tiff.order] + struct.pack(tiff.order + "HI", 42, at)
    return head + made


def into_tiff(block: bytes, tiff: Tiff, more: Tags, end: int) -> tuple[bytes, int]:
    """What to append at `end` of a TIFF file, and where in the file its directory then begins.

    `more` are all tags of its own directory; what the block tells is added. struct.error where
    the block is malformed.
    """
    told = open_tiff(in_bytes(block))
    if told is None:
        return laid(more, {}, tiff.order, tiff.order, end, tiff.big)
    main = told.directory(told.first)
    added = {
        tag: entry._replace(value=swapped(entry, told.order, tiff.order))
        for tag, entry in main.items()
        if tag in _TOLD and tag not in more
    }
    return laid({**added, **more}, _groups(told, main), told.order, tiff.order, end, tiff.big)


def _groups(tiff: Tiff, main: Tags) -> dict[int, Tags]:
    """The EXIF, GPS and interoperability directories by the tag that points at each."""
    found = {}
    for tag in (EXIF_AT, GPS_AT):
        if tag in main:
            try:
                found[tag] = tiff.directory(tiff.number(main[tag]))
            except struct.error:
                continue
    inner = found.get(EXIF_AT, {})
    if INTEROP_AT in inner:
        with suppress(struct.error):
            found[INTEROP_AT] = tiff.directory(tiff.number(inner[INTEROP_AT]))
    return found
