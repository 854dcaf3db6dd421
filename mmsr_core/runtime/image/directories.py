"""Directories of tags, as TIFF and EXIF have them: read, and laid out anew."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

EXIF_AT, GPS_AT, INTEROP_AT = 0x8769, 0x8825, 0xA005
"""Tags whose value is where a further directory begins."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a value by type; two numbers of half the size in a rational (5 and 10)."""
_MOST = 2**24
"""No value that we carry has more bytes."""

Read = Callable[[int, int], bytes]
"""From where, how many bytes."""


class Entry(NamedTuple):
    """One tag of a directory; `at` is where its value begins."""

    tag: int
    kind: int
    values: int
    at: int
    value: bytes


Tags = Mapping[int, Entry]


@dataclass(frozen=True)
class Tiff:
    """The directories of a TIFF or EXIF structure. `order` is struct's, "<" or ">"."""

    read: Read
    order: str
    big: bool
    first: int

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        """struct.error where the bytes end too early."""
        form = self.order + form
        return struct.unpack(form, self.read(at, struct.calcsize(form)))

    def directory(self, at: int) -> Tags:
        """The tags of the directory that begins there; struct.error where it is malformed."""
        return {entry.tag: entry for entry in self._entries(at)}

    def following(self, at: int) -> tuple[int, int]:
        """Where it is said where the directory after this one begins, and what is said there."""
        counts, step = ("Q", 20) if self.big else ("H", 12)
        (count,) = self.unpack(counts, at)
        told = at + struct.calcsize("<" + counts) + step * count
        return told, self.unpack("Q" if self.big else "I", told)[0]

    def _entries(self, at: int) -> Iterator[Entry]:
        counts, form, room = ("Q", "HHQ", 8) if self.big else ("H", "HHI", 4)
        (count,) = self.unpack(counts, at)
        at += struct.calcsize("<" + counts)
        if count > 4096:
            raise struct.error("too many tags")
        for _ in range(count):
            tag, kind, values = self.unpack(form, at)
            place = at + struct.calcsize("<" + form)
            size = values * _SIZES.get(kind, 0)
            start = place if size <= room else self.unpack("Q" if self.big else "I", place)[0]
            value = self.read(start, size) if size <= _MOST else b""
            if len(value) == size:
                yield Entry(tag, kind, values, start, value)
            at = place + room

    def number(self, entry: Entry) -> int:
        """The first value of an entry of whole numbers; 0 for other types."""
        form = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}.get(entry.kind)
        if form is None or not entry.values:
            return 0
        return int(struct.unpack_from(self.order + form, entry.value)[0])


def open_tiff(read: Read) -> Tiff | None:
    """The structure that begins at 0, or None where there is none."""
    head = read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    try:
        if order is None:
            return None
        (version,) = struct.unpack_from(order + "H", head, 2)
        if version == 43:
            return Tiff(read, order, True, struct.unpack_from(order + "Q", head, 8)[0])
        if version == 42:
            return Tiff(read, order, False, struct.unpack_from(order + "I", head, 4)[0])
    except struct.error:
        pass
    return None


def in_bytes(data: bytes) -> Read:
    """A reader of bytes that are in memory."""
    return lambda at, size: data[at : at + size]


def laid(
    main: Tags, groups: Mapping[int, Tags], source: str, order: str, at: int, big: bool
) -> tuple[bytes, int]:
    """Directories as bytes that will begin at `at`, and where the main one then is.

    `main` has the byte order `order` already, the groups have `source`'s.
    """
    body = b""
    starts: dict[int, int] = {}
    for tag in (INTEROP_AT, EXIF_AT, GPS_AT):
        if tag in groups:
            turned = {
                entry.tag: entry._replace(value=swapped(entry, source, order))
                for entry in groups[tag].values()
            }
            inner = (
                {INTEROP_AT: starts[INTEROP_AT]} if tag == EXIF_AT and INTEROP_AT in starts else {}
            )
            body += bytes(-(at + len(body)) % 8)
            starts[tag] = at + len(body)
            body += _directory(turned, inner, order, starts[tag], big)
    body += bytes(-(at + len(body)) % 8)
    start = at + len(body)
    pointers = {tag: starts[tag] for tag in (EXIF_AT, GPS_AT) if tag in starts}
    return body + _directory(main, pointers, order, start, big), start


def _directory(tags: Tags, pointers: Mapping[int, int], order: str, at: int, big: bool) -> bytes:
    counts, form, offset, room = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    numbers = sorted({*tags, *pointers} - ({EXIF_AT, GPS_AT, INTEROP_AT} - {*pointers}))
    step = struct.calcsize("<" + form) + room
    values_at = at + struct.calcsize("<" + counts) + step * len(numbers) + room
    made, values = struct.pack(order + counts, len(numbers)), b""
    for tag in numbers:
        if tag in pointers:
            made += struct.pack(order + form + offset, tag, 16 if big else 4, 1, pointers[tag])
            continue
        entry = tags[tag]
        made += struct.pack(order + form, tag, entry.kind, entry.values)
        if len(entry.value) <= room:
            made += entry.value.ljust(room, b"\0")
        else:
            made += struct.pack(order + offset, values_at + len(values))
            values += entry.value + bytes(-len(entry.value) % 8)
    return made + bytes(room) + values


def swapped(entry: Entry, source: str, order: str) -> bytes:
    """An entry's value in another byte order."""
    size = 4 if entry.kind in (5, 10) else _SIZES[entry.kind]
    if source == order or size == 1:
        return entry.value
    step = range(0, len(entry.value), size)
    return b"".join(entry.value[at : at + size][::-1] for at in step)
