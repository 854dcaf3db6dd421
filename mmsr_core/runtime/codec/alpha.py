"""The alpha layer: the plane without loss, as differences between neighbours, deflated."""

import zlib

import numpy as np

from mmsr_core.runtime.codec.entropy import Damaged
from mmsr_core.runtime.image.resize import Samples


def encode_alpha(plane: Samples) -> bytes:
    """A plane (h,w) of uint8 or uint16."""
    steps = np.diff(plane, axis=1, prepend=plane.dtype.type(0))
    steps[1:, 0] = np.diff(plane[:, 0])  # modulo 2^8 or 2^16, like all the others
    split = steps.astype(steps.dtype.newbyteorder("<")).view(np.uint8)
    return zlib.compress(split.reshape(-1, plane.itemsize).T.tobytes(), 9)


def decode_alpha(data: bytes, height: int, width: int, itemsize: int) -> Samples:
    """The plane again; Damaged when the bytes are none of that size."""
    size = height * width * itemsize
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, size)
        rest = inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error:
        raise Damaged("it can't be inflated") from None
    if len(raw) != size or rest or not inflater.eof:
        raise Damaged("it has another size than the image")
    split = np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(itemsize, -1).T)
    kind = np.dtype(f"u{itemsize}")
    steps = split.view(kind.newbyteorder("<")).reshape(height, width).astype(kind)
    steps[:, 0] = np.cumsum(steps[:, 0], dtype=kind)
    return np.asarray(np.cumsum(steps, axis=1, dtype=kind))
