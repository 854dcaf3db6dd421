"""Rows as a file that libvips reads while they are being made: an uncompressed BigTIFF."""

import queue
import struct
from contextlib import suppress
from typing import Any

import numpy as np

from mmsr_core.runtime.image.resize import Samples

_WAITING = 4
"""Strips between who makes them and who encodes them."""


class Stopped(Exception):
    """The other side of the pipe has ended."""


class RowFile:
    """A pipe of rows: `put` on one thread; `read` and `seek`, as a file, on another.

    libvips reads a TIFF's header at will and its strips in order, once; so what was read is
    dropped, and what has not been made yet is waited for.
    """

    def __init__(self, height: int, width: int, bands: int, dtype: np.dtype[Any]) -> None:
        row = width * bands * dtype.itemsize
        self._strip = max(1, min(height, 2**16 // row))
        self._head = _head(height, width, bands, dtype, self._strip)
        self._total = len(self._head) + height * row
        self._at = 0
        self._piece = b""
        self._piece_at = len(self._head)
        self._rows: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._stopped = False

    def put(self, rows: Samples) -> None:
        """Hand rows over, from top to bottom. `Stopped` when nobody reads them any more."""
        self._hand(np.ascontiguousarray(rows).tobytes())

    def end(self) -> None:
        """No more rows will come."""
        with suppress(Stopped):
            self._hand(None)

    def stop(self) -> None:
        """Let `put` raise from now on: the reader has ended."""
        self._stopped = True

    def _hand(self, piece: bytes | None) -> None:
        while not self._stopped:
            try:
                return self._rows.put(piece, timeout=0.1)
            except queue.Full:
                continue
        raise Stopped

    def read(self, size: int) -> bytes:
        """As a file's; fewer bytes than asked where a strip ends, none when no more come."""
        if self._at < len(self._head):
            got = self._head[self._at : self._at + size]
        else:
            while self._at >= self._piece_at + len(self._piece):
                if self._at >= self._total:
                    return b""
                piece = self._rows.get()
                if piece is None:
                    return b""
                self._piece_at += len(self._piece)
                self._piece = piece
            start = self._at - self._piece_at
            if start < 0:
                return b""  # it would have to be made again: libvips doesn't ask for it
            got = self._piece[start : start + size]
        self._at += len(got)
        return got

    def seek(self, offset: int, whence: int) -> int:
        """As a file's."""
        self._at = offset + {0: 0, 1: self._at, 2: self._total}[whence]
        return self._at


def _head(height: int, width: int, bands: int, dtype: np.dtype[Any], strip: int) -> bytes:
    """Header and directory of a little-endian BigTIFF whose strips follow in order."""
    strips = -(-height // strip)
    row = width * bands * dtype.itemsize
    entries: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [8 * dtype.itemsize] * bands),
        (259, "H", [1]),  # not compressed
        (262, "H", [2 if bands >= 3 else 1]),  # RGB, or grey with black as 0
        (273, "Q", [0] * strips),
        (277, "H", [bands]),
        (278, "I", [strip]),
        (279, "Q", [min(strip, height - top) * row for top in range(0, height, strip)]),
        (284, "H", [1]),  # samples of a pixel side by side
        (339, "H", [3 if dtype.kind == "f" else 1] * bands),
    ]
    if bands in (2, 4):
        entries.insert(-1, (338, "H", [2]))  # alpha, not multiplied in
    values_at = 16 + 8 + 20 * len(entries) + 8
    sizes = [struct.calcsize(form) * len(values) for _, form, values in entries]
    data_at = values_at + sum(-(-size // 8) * 8 for size in sizes if size > 8)
    entries[5] = (273, "Q", [data_at + top * row for top in range(0, height, strip)])
    made, values_made = struct.pack("<Q", len(entries)), b""
    for (tag, form, values), size in zip(entries, sizes, strict=True):
        packed = struct.pack(f"<{len(values)}{form}", *values)
        if size > 8:
            place = struct.pack("<Q", values_at + len(values_made))
            values_made += packed + bytes(-size % 8)
        else:
            place = packed.ljust(8, b"\0")
        made += struct.pack("<HHQ", tag, {"H": 3, "I": 4, "Q": 16}[form], len(values)) + place
    return b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + made + bytes(8) + values_made
