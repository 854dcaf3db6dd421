"""The residual layer: what the base layer got wrong, as pictures coded by HEVC (section 2.4).

A tile's residual is rescaled from between its least and its greatest value to [0,255], coded
intra 4:4:4, and scaled back. Coding needs pillow_heif, decoding pi_heif or pillow_heif.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime.codec.entropy import Damaged
from mmsr_core.runtime.tiles import Floats

LAST_QP = 50
TILE = 1024
_LEAST = 16
"""Pixels to a side below which a picture is padded."""
_HEAD = struct.Struct("<eeHI")
_USUAL = bytes.fromhex(
    "00000028636c6170000002f300000001000001ff00000001ffffffff00000002ffffffff000000020000001c"
    "6674797068656978000000006d696631686569786d696166000001576d657461000000000000002168646c72"
    "0000000000000000706963740000000000000000000000000000000022696c6f630000000044400001000100"
    "000000017b0001000000000001f2980000002369696e6600000000000100000015696e666502000000000100"
    "0068766331000000000e7069746d000000000001000000d769707270000000b86970636f0000007968766343"
    "0104080000009e38000000005af000fcfff8f800000f03600001001740010c01ffff0408000003009e380000"
    "0300005aba0240610001002c4201010408000003009e3800000300005a9000c040100b2dd492535cdc043418"
    "10000003019000000300108062000100084401c172860c062400000013636f6c726e636c780001000d000680"
    "0000001469737065000000000000030000000200000000107069786900000000030808080000001769706d61"
    "0000000000000001000104810203040001f2a06d646174"
)
"""What HEIF files of one picture begin with: of theirs, only what differs is stored."""
_LONGEST = 4096
_FAILS = (ValueError, EOFError, SyntaxError, RuntimeError, OSError, MemoryError)


def can_encode() -> bool:
    """Whether residuals can be coded here."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def check_decodes() -> None:
    """ImageError when nothing here decodes residuals."""
    _heif()


def encode_rows(residual: Floats, qp: int) -> bytes:
    """Some rows (n,w,3) of a residual, at most `TILE`, at a quantiser parameter of 0 to 50."""
    return b"".join(_encoded(residual[:, at : at + TILE], qp) for at in _lefts(residual.shape[1]))


def decode_rows(data: bytes, height: int, width: int) -> Iterator[Floats]:
    """The rows of a residual, `TILE` at a time; Damaged, ImageError when nothing here decodes
    them."""
    at = 0
    for top in range(0, height, TILE):
        rows = np.empty((min(TILE, height - top), width, 3), np.float32)
        for left in _lefts(width):
            if len(data) < at + _HEAD.size:
                raise Damaged("it ends too early")
            low, high, short, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            part = rows[:, left : left + TILE]
            if not (np.isfinite([low, high]).all() and -1 <= low <= high <= 1):
                raise Damaged("a range that makes no sense")
            end = at + short
            picture = decode_picture(data[at:end], data[end : end + size], *part.shape[:2])
            part[:] = picture * np.float32((high - low) / 255) + np.float32(low)
            at += short + size
        yield rows
    if at != len(data):
        raise Damaged("it is longer than its image")


def _lefts(width: int) -> Iterable[int]:
    return range(0, width, TILE)


def _encoded(residual: Floats, qp: int) -> bytes:
    low, high = (float(np.float16(bound)) for bound in (residual.min(), residual.max()))
    scaled = (residual - low) * (255 / (high - low) if high > low else 0)
    short, data = encode_picture(np.clip(np.rint(scaled), 0, 255).astype(np.uint8), qp)
    return _HEAD.pack(low, high, len(short), len(data)) + short + data


def encode_picture(picture: npt.NDArray[np.uint8], qp: int) -> tuple[bytes, bytes]:
    """A picture (h,w,3) as HEVC intra 4:4:4: what is special of its beginning, and the rest."""
    import pillow_heif

    height, width = picture.shape[:2]
    missing = (max(0, _LEAST - height), max(0, _LEAST - width))
    picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), "edge")
    file = io.BytesIO()
    heif = pillow_heif.from_bytes("RGB", picture.shape[1::-1], picture.tobytes())
    # x265 is given a rate factor of (100 − quality)/2, which is its quantiser on one picture.
    heif.save(file, quality=max(0, 100 - 2 * qp), chroma=444)
    data = file.getvalue()
    begin = data.index(b"mdat") + 4
    shortener = zlib.compressobj(9, wbits=-15, zdict=_USUAL)
    return shortener.compress(data[:begin]) + shortener.flush(), data[begin:]


def decode_picture(short: bytes, data: bytes, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The picture again; Damaged when it isn't one of that size."""
    return _decoded(_lengthened(short) + data, height, width)


def _lengthened(short: bytes) -> bytes:
    """The beginning of a HEIF file; Damaged when it isn't one."""
    lengthener = zlib.decompressobj(wbits=-15, zdict=_USUAL)
    try:
        found = lengthener.decompress(short, _LONGEST)
    except zlib.error:
        found = b""
    if not lengthener.eof:
        raise Damaged("a picture without its beginning")
    return found


def _decoded(data: bytes, height: int, width: int) -> npt.NDArray[np.uint8]:
    try:
        opened = _heif().open_heif(io.BytesIO(data))
        wide, high = opened.size
        if (high, wide) != (max(height, _LEAST), max(width, _LEAST)) or opened.mode != "RGB":
            raise Damaged("a picture of another size")
        # A copy: the picture's own memory is gone with the picture.
        return np.array(opened)[:height, :width]
    except _FAILS:
        raise Damaged("a picture that can't be decoded") from None


def _heif() -> Any:
    try:
        import pi_heif
    except ImportError:
        try:
            import pillow_heif
        except ImportError:
            raise ImageError("its residual layer needs pi_heif: pip install 'mmsr[heic]'") from None
        return pillow_heif
    return pi_heif
