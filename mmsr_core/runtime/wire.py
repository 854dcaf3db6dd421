"""Protocol Buffers' wire format, read far enough to look into a stranger's graph.

A machine that only deploys has no onnx package, and parsing first and looking later would be too
late: what is looked for is what makes parsing dear.
"""

import re

Value = int | memoryview
"""What a field holds: a number, or the bytes of a text, a message, a float or packed numbers."""
Message = dict[int, list[Value]]
"""The values of each field by its number, in the order of the file."""

PARTS = 2**20
"""Fields that a graph may have, its long lists of numbers not counted: a second of Python."""


class Malformed(ValueError):
    """The bytes are no message of Protocol Buffers; the text says why."""


class Reader:
    """Reads the messages of one file, which together may have so many fields."""

    def __init__(self, parts: int = PARTS) -> None:
        self._left = parts

    def read(self, data: memoryview, skip: re.Pattern[bytes] | None = None) -> Message:
        """The fields of one message; runs of bytes that `skip` matches are passed over.

        Messages within it stay bytes. Raises Malformed.
        """
        found: Message = {}
        place = 0
        while place < len(data):
            if skip is not None and (run := skip.match(data, place)):
                place = run.end()
                continue
            self._left -= 1
            if self._left < 0:
                raise Malformed("it has too many parts")
            key, place = _varint(data, place)
            value: Value
            match key & 7:
                case 0:
                    value, place = _varint(data, place)
                case 1:
                    value, place = _cut(data, place, 8)
                case 2:
                    size, place = _varint(data, place)
                    value, place = _cut(data, place, size)
                case 5:
                    value, place = _cut(data, place, 4)
                case kind:
                    raise Malformed(f"a field of kind {kind}")
            found.setdefault(key >> 3, []).append(value)
        return found


def numbers(values: list[Value]) -> list[int]:
    """The integers of a repeated field, packed or not; Malformed when they are neither."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            found.append(number)
    return found


def messages(values: list[Value]) -> list[memoryview]:
    """The texts or messages of a field; Malformed when it holds a number."""
    found = [value for value in values if isinstance(value, memoryview)]
    if len(found) != len(values):
        raise Malformed("a number in the place of bytes")
    return found


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, and the place behind it."""
    if place < len(data) and data[place] < 0x80:  # nearly all are so small
        return data[place], place + 1
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise Malformed("it ends too early")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Malformed("a number of more than 64 bits")


def _cut(data: memoryview, place: int, size: int) -> tuple[memoryview, int]:
    if size > len(data) - place:
        raise Malformed("it ends too early")
    return data[place : place + size], place + size
