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

    The number of bits, how many slices there are but one, the channels' bounds, then each slice's
    count of lanes and stream; all but the last slice's have their length before them.
    """
    quantiser = Quantiser.fitted(bits, codes)
    numbers = np.empty(codes.shape, np.uint8)
    streams = []
    for rows in _slices(*codes.shape):
        own = quantiser.quantised(codes[:, rows])
        numbers[:, rows] = own
        streams.append(models[bits].encode(own, quantiser.zero))
    bounds = np.concatenate([quantiser.low, quantiser.high]).astype("<f2").tobytes()
    parts = [bytes([bits]), bounds]
    parts += [_SLICE.pack(lanes, len(stream)) for lanes, stream in streams[:-1]]
    parts += [bytes([streams[-1][0]]), *(stream for _, stream in streams)]
    return b"".join(parts), quantiser, numbers


def decode_map(
    models: Models, data: bytes, channels: int, height: int, width: int
) -> tuple[Quantiser, Quantised]:
    """The quantiser and the numbers (c,h,w) of a code map; Damaged when the bytes are none."""
    slices = list(_slices(channels, height, width))
    head = BASE_HEAD + 4 * channels + _SLICE.size * (len(slices) - 1)
    if len(data) < head or not 1 <= data[0] <= MOST_BITS:
        raise Damaged("it is too short")
    bounds = np.frombuffer(data, "<f2", 2 * channels, 1).astype(np.float16)
    quantiser = Quantiser(data[0], bounds[:channels], bounds[channels:])
    if not (
        np.isfinite(bounds).all() and (quantiser.low <= 0).all() and (quantiser.high >= 0).all()
    ):
        raise Damaged("a channel's bounds make no sense")
    told = list(_SLICE.iter_unpack(data[1 + 4 * channels : head - 1]))
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
