"""The base layer: a code map quantised and coded, in slices that need little memory."""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.codec.entropy import BASE_HEAD, Damaged, Models
from mmsr_core.runtime.codec.quantiser import MOST_BITS, Quantiser
from mmsr_core.runtime.tiles import Floats

_SLICE = struct.Struct("<BI")
_MOST = 2**19
"""Numbers of a slice: 200 MiB are held for them while they are coded, 40 while decoded."""
Quantised = npt.NDArray[np.uint8]


def encode_map(models: Models, bits: int, codes: Floats) -> tuple[bytes, Quantiser, Quantised]:
    """A code map (c,h,w) as bytes; the quantiser, and the numbers that a reader will have.

    The number of bits, the channels' bounds where they are its own, then each slice's count of
    lanes and stream; all but the last slice's have their length before them.
    """
    quantiser = models.rounding.quantiser(bits, codes)
    numbers = np.empty(codes.shape, np.uint8)
    streams = []
    for rows in _slices(*codes.shape):
        own = models.numbers(quantiser, codes[:, rows])
        numbers[:, rows] = own
        streams.append(models[bits].encode(own, quantiser.zero))
    parts = [bytes([bits]), models.bounds(quantiser)]
    parts += [_SLICE.pack(lanes, len(stream)) for lanes, stream in streams[:-1]]
    parts += [bytes([streams[-1][0]]), *(stream for _, stream in streams)]
    return b"".join(parts), quantiser, numbers


def decode_map(
    models: Models, data: bytes, channels: int, height: int, width: int
) -> tuple[Quantiser, Quantised]:
    """The quantiser and the numbers (c,h,w) of a code map; Damaged when the bytes are none."""
    slices = list(_slices(channels, height, width))
    if not data or not 1 <= data[0] <= MOST_BITS:
        raise Damaged("it is too short")
    quantiser, taken = models.bounded(data[0], data[1:], channels)
    head = BASE_HEAD + taken + _SLICE.size * (len(slices) - 1)
    if len(data) < head:
        raise Damaged("it is too short")
    told = list(_SLICE.iter_unpack(data[1 + taken : head - 1]))
    rest = len(data) - head - sum(size for _, size in told)
    if rest < 0:
        raise Damaged("its slices are longer than it is")
    numbers = np.empty((channels, height, width), np.uint8)
    at = head
    for rows, (lanes, size) in zip(slices, [*told, (data[head - 1], rest)], strict=True):
        shape = (channels, rows.stop - rows.start, width)
        stream = data[at : at + size]
        numbers[:, rows] = models[quantiser.bits].decode(stream, lanes, shape, quantiser.zero)
        at += size
    return quantiser, numbers


def _slices(channels: int, height: int, width: int) -> Iterator[slice]:
    """Rows that are coded together; Damaged when one alone is too long."""
    rows = _MOST // (channels * width)
    if rows == 0:
        raise Damaged(f"it is wider than {_MOST // channels} cells of 8 pixels")
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
