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


class Decoder:
    """Gives the symbols of a stream back, group by group."""

    def __init__(self, data: bytes, lanes: int) -> None:
        """Damaged when the stream is too short to hold the lanes' states, or they can't be."""
        head = lanes * _STATE
        if not 1 <= lanes <= MOST_LANES or len(data) < head or (len(data) - head) % 2:
            raise Damaged("it has no such length")
        states = np.zeros((lanes, 8), np.uint8)
        states[:, :_STATE] = np.frombuffer(data, np.uint8, head).reshape(lanes, _STATE)
        self._state = states.view("<u8").ravel().astype(np.uint64)
        self._words = np.frombuffer(data, "<u2", offset=head).astype(np.uint64)
        self._at = 0
        if not ((self._state >= _LOW) & (self._state < 1 << 39)).all():
            raise Damaged("a state out of range")

    def decode(self, tables: npt.NDArray[np.uint16], rows: Integers) -> npt.NDArray[np.int64]:
        """One symbol for each of `rows`, which are rows of `tables`.

        A row of `tables` holds cumulative frequencies, from 0 to `TOTAL`, rising. Damaged when
        the stream ends before them.
        """
        lanes = len(self._state)
        found = np.empty(len(rows), np.int64)
        for first in range(0, len(rows), lanes):
            cumulative = tables[rows[first : first + lanes]]
            held = self._state[: len(cumulative)]
            slot = held & np.uint64(TOTAL - 1)
            symbol = (cumulative[:, 1:-1] <= slot.astype(np.uint16)[:, None]).sum(1)
            each = np.arange(len(symbol))
            start = cumulative[each, symbol].astype(np.uint64)
            count = cumulative[each, symbol + 1].astype(np.uint64) - start
            held[:] = count * (held >> np.uint64(PRECISION)) + slot - start
            low = np.flatnonzero(held < _LOW)
            if low.size:
                words = self._words[self._at : self._at + low.size]
                if len(words) < low.size:
                    raise Damaged("it ends too early")
                held[low] = (held[low] << np.uint64(_WORD)) | words
                self._at += low.size
            found[first : first + lanes] = symbol
        return found

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
