"""What libvips does not read: BMP by OpenCV, HEIC by pi_heif."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import containers, exif
from mmsr_core.runtime.image.decode import DecodedWhole, damaged, refuse_size
from mmsr_core.runtime.image.directories import in_bytes, open_tiff
from mmsr_core.runtime.image.header import Header, Metadata, sensible


def bmp(path: Path, most: int) -> DecodedWhole:
    """A BMP file."""
    data = path.read_bytes()
    if len(data) < 26:
        raise damaged(path)
    (kind,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<hh" if kind == 12 else "<ii", data, 18)
    refuse_size(path, abs(height), abs(width), most)
    try:
        with quiet_opencv():
            samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        samples = None
    if samples is None:
        raise damaged(path)
    samples = from_opencv(samples)
    height, width, bands = samples.shape
    resolution = containers.resolution("bmp", data[:54])
    metadata = Metadata(resolution=sensible(resolution))
    header = Header(height, width, 8, bands < 3, bands in (2, 4), metadata)
    return DecodedWhole(header, samples)


def from_opencv(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """OpenCV's (h,w), BGR or BGRA as (h,w,1), RGB or RGBA."""
    samples = samples.reshape(*samples.shape[:2], -1)
    order = [2, 1, 0, 3][: samples.shape[2]] if samples.shape[2] >= 3 else [0]
    return np.ascontiguousarray(samples[..., order])


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV's own lines about bad files stay off stderr; the caller raises one instead.

    The level belongs to the process: when threads overlap here, a line may slip through.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def heic(path: Path, most: int) -> DecodedWhole:
    """A HEIC file, by pi_heif where it is installed."""
    try:
        import pi_heif
    except ImportError:
        raise ImageError(f"{path}: to read HEIC, run pip install 'mmsr[heic]'") from None
    try:
        opened = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
        width, height = opened.size
        refuse_size(path, height, width, most)
        picture = opened[opened.primary_index]
        samples = np.array(picture)  # a copy: its memory is gone when pi_heif lets go of it
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, MemoryError):
        raise damaged(path) from None
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width, bands = samples.shape
    info = picture.info
    block = (info.get("exif") or b"").removeprefix(b"Exif\0\0")
    metadata = Metadata(
        exif=block if open_tiff(in_bytes(block)) else b"",
        icc=info.get("icc_profile") or b"",
        xmp=(info.get("xmp") or b"").rstrip(b"\0"),
        resolution=sensible(exif.resolution(block)),
    )
    header = Header(
        height=height,
        width=width,
        bits=16 if samples.dtype == np.uint16 else 8,
        grey=bands < 3,
        alpha=bands in (2, 4),
        metadata=metadata,
        frames=len(opened),
    )
    return DecodedWhole(header, samples)
