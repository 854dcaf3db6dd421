"""An entropy coder: interleaved range asymmetric numeral systems (Duda 2013), in whole numbers.

Several lanes code in turn, so that NumPy works on all of them at once. A lane's state lies in
[2^23, 2^39); 16 bits at a time leave it and come back. Frequencies add up to 2^15.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

PRECISION = 15
TOTAL = 1 << PRECISION
MOST_LANES = 64
_LOW = 1 << 23
_WORD = 16
_RUNG = 16
_STATE = 5
"""Bytes of a lane's last state."""

Integers = npt.NDArray[np.integer[Any]]


class Damaged(ValueError):
    """The bytes are no stream of this coder."""


def encode(starts: Integers, counts: Integers, groups: Sequence[int], lanes: int) -> bytes:
    """The stream of symbols given by their cumulative frequencies and frequencies (≥ 1).

    `groups` says how many symbols the decoder asks for at a time; they add up to all of them.
    """
    state = np.full(lanes, _LOW, np.uint64)
    starts, counts = starts.astype(np.uint64), counts.astype(np.uint64)
    limits = counts << np.uint64(24)  # 2^39 / 2^15 · count
    words: list[npt.NDArray[np.uint64]] = []
    for first, last in reversed(_rounds(groups, lanes)):
        part = slice(first, last)
        held, count = state[: last - first], counts[part]
        full = held >= limits[part]
        words.append((held[full] & np.uint64(0xFFFF))[::-1])
        held[full] >>= np.uint64(_WORD)
        quotient, rest = np.divmod(held, count)
        held[:] = (quotient << np.uint64(PRECISION)) + rest + starts[part]
    stream = np.concatenate(words)[::-1] if words else np.empty(0, np.uint64)
    states = state.astype("<u8").view(np.uint8).reshape(lanes, 8)[:, :_STATE]
    return states.tobytes() + stream.astype("<u2").tobytes()


class Ladder:
    """Rows of cumulative frequencies as one rising sequence.

    Each row starts 2^16 further up than the one before, so that one binary search finds symbols
    of any rows.
    """

    def __init__(self, tables: npt.NDArray[np.uint16]) -> None:
        """`tables` (rows, symbols+1): from 0 to `TOTAL`, rising. ValueError for 2^15 rows or more,
        which would be too high."""
        if len(tables) >= 1 << 31 - _RUNG:
            raise ValueError(f"{len(tables)} rows are too many")
        offsets = np.arange(len(tables), dtype=np.int32) << _RUNG
        self.rungs: npt.NDArray[np.int32] = (tables + offsets[:, None]).ravel()
        self.width = tables.shape[1]


class Decoder:
    """Gives the symbols of a stream back, group by group."""

    def __init__(self, data: bytes, lanes: int) -> None:
        """Damaged when the stream is too short to hold the lanes' states, or they can't be."""
        head = lanes * _STATE
        if not 1 <= lanes <= MOST_LANES or len(data) < head or (len(data) - head) % 2:
            raise Damaged("it has no such length")
        states = np.zeros((lanes, 8), np.uint8)
        states[:, :_STATE] = np.frombuffer(data, np.uint8, head).reshape(lanes, _STATE)
        self._state = states.view("<u8").ravel().astype(np.int64)
        self._words = np.frombuffer(data, "<u2", offset=head).astype(np.int64)
        self._at = 0
        if not ((self._state >= _LOW) & (self._state < 1 << 39)).all():
            raise Damaged("a state out of range")

    def decode(self, ladder: Ladder, rows: Integers) -> npt.NDArray[np.int64]:
        """One symbol for each of `rows`, which are rows of the ladder.

        Damaged when the stream ends before them.
        """
        lanes, rungs = len(self._state), ladder.rungs
        found = np.empty(len(rows), np.int64)
        offsets = rows << _RUNG
        for first in range(0, len(rows), lanes):
            offset = offsets[first : first + lanes]
            held = self._state[: len(offset)]
            slot = (held & (TOTAL - 1)) + offset
            above = rungs.searchsorted(slot.astype(np.int32), side="right")
            start = rungs[above - 1]
            held >>= PRECISION
            held *= rungs[above] - start
            held += slot - start
            low = (held < _LOW).nonzero()[0]
            if low.size:
                words = self._words[self._at : self._at + low.size]
                if len(words) < low.size:
                    raise Damaged("it ends too early")
                held[low] = (held[low] << _WORD) | words
                self._at += low.size
            found[first : first + lanes] = above
        return np.asarray(found - 1 - rows * ladder.width, np.int64)

    def finish(self) -> None:
        """Damaged unless the stream ends here, as every sound one does."""
        if self._at != len(self._words) or (self._state != _LOW).any():
            raise Damaged("it doesn't end where its symbols do")


def _rounds(groups: Sequence[int], lanes: int) -> list[tuple[int, int]]:
    """What is coded at once, one symbol a lane: from which symbol to which."""
    found, at = [], 0
    for size in groups:
        found += [(at + step, at + min(step + lanes, size)) for step in range(0, size, lanes)]
        at += size
    return found
