"""The standard codecs, each at settings that span a learned codec's rates."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.codec import residual

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Contender:
    """A codec: `encode` takes an RGB image (h,w,3) uint8 and one of `settings`; `decode` takes
    what came of it and gives the image back. What counts is the coded bytes' length."""

    name: str
    settings: tuple[int, ...]
    encode: Callable[[Bytes, int], bytes]
    decode: Callable[[bytes], Bytes]


def standard_codecs() -> Iterator[Contender]:
    """JPEG, WebP and AVIF; with the extra `codec` also JPEG 2000 and HEVC intra 4:4:4.

    JPEG and WebP as they are used, with colour at half resolution; AVIF with all of it. HEVC is
    what BPG codes with: like a BPG file it is counted without the boxes of a HEIF file.
    """
    yield Contender("jpeg", (5, 10, 20, 35, 50, 70, 85, 93), _jpeg, _by_vips)
    yield Contender("webp", (0, 10, 25, 45, 65, 80, 90, 96), _webp, _by_vips)
    yield Contender("avif", (8, 18, 30, 42, 54, 66, 76, 86), _avif, _by_vips)
    if residual.can_encode():
        yield Contender("jpeg2000", (3, 6, 12, 20, 32, 50, 75, 110), _jpeg2000, _by_pillow)
        yield Contender("hevc444", (48, 44, 40, 36, 32, 28, 24, 20), _hevc, _by_heif)


def _picture(image: Bytes) -> Any:
    from mmsr_core.runtime.image.vips import libvips

    return libvips().Image.new_from_array(image, interpretation="srgb")


def _jpeg(image: Bytes, quality: int) -> bytes:
    options = {"Q": quality, "optimize_coding": True, "keep": "none"}
    return bytes(_picture(image).jpegsave_buffer(**options))


def _webp(image: Bytes, quality: int) -> bytes:
    return bytes(_picture(image).webpsave_buffer(Q=quality, effort=4, keep="none"))


def _avif(image: Bytes, quality: int) -> bytes:
    options = {"compression": "av1", "effort": 4, "subsample_mode": "off", "keep": "none"}
    return bytes(_picture(image).heifsave_buffer(Q=quality, **options))


def _jpeg2000(image: Bytes, thousandths: int) -> bytes:
    """In thousandths of the image's own size. By Pillow: OpenCV codes RGB as it is, which costs
    JPEG 2000 two to seven dB."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(
        file,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[1000 / thousandths],
        irreversible=True,
        mct=1,
    )
    return file.getvalue()


def _by_vips(data: bytes) -> Bytes:
    from mmsr_core.runtime.image.vips import libvips

    return np.asarray(libvips().Image.new_from_buffer(data, "").numpy()[..., :3])


def _by_pillow(data: bytes) -> Bytes:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(data)))


_SIZES = 6


def _hevc(image: Bytes, qp: int) -> bytes:
    short, data = residual.encode_picture(image, qp)
    sides = b"".join(side.to_bytes(2, "little") for side in (len(short), *image.shape[:2]))
    return sides + short + data


def _by_heif(data: bytes) -> Bytes:
    short, height, width = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2, 4))
    end = _SIZES + short
    return residual.decode_picture(data[_SIZES:end], data[end:], height, width)
