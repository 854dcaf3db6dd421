"""Images: read with all that travels beside the pixels, resized, and written in one piece."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime import metadata as meta
from mmsr_core.runtime.tiles import Floats

Bits = Literal[8, 16]
Samples = npt.NDArray[np.unsignedinteger]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""What `write` writes and `find_images` finds in a folder."""
_SIXTEEN_BITS = (".png", ".tif", ".tiff")
_ALPHA = (".png", ".webp", ".tif", ".tiff")
_LONGEST = {".jpg": 65500, ".webp": 16383}
"""The longest side that a format holds, as its library defines it."""
_RUNS = cv2.IMWRITE_PNG_STRATEGY_RLE
_PARAMETERS = {
    # Upscaled photographs repeat bytes, not phrases: 10% smaller than level 3, in 60% of its time.
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, _RUNS),
    ".jpg": (
        *(cv2.IMWRITE_JPEG_QUALITY, 95),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
_KINDS = {
    "exif": cv2.IMAGE_METADATA_EXIF,
    "icc": cv2.IMAGE_METADATA_ICCP,
    "xmp": cv2.IMAGE_METADATA_XMP,
}


@dataclass(frozen=True)
class Image:
    """An image upright, with what its file says beside the pixels.

    `rgb` (h,w,3) and `alpha` (h,w) are float32 in [0,1], alpha not multiplied in; `bits` of a
    sample in the file; `grey` when the file has one channel, which `rgb` then holds three times;
    `metadata` the bytes of EXIF, ICC and XMP under "exif", "icc" and "xmp".
    """

    rgb: Floats
    alpha: Floats | None = None
    bits: Bits = 8
    grey: bool = False
    metadata: Mapping[str, bytes] = field(default_factory=dict)


def find_images(path: Path) -> list[Path]:
    """The file itself, or every image below a folder, sorted. ImageError when there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ImageError(f"{path}: no such file or folder")
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if not found:
        raise ImageError(f"{path}: no image in this folder ({' '.join(IMAGE_SUFFIXES)})")
    return found


def read(path: Path) -> Image:
    """Read an image; its EXIF orientation is applied to the pixels and reset to 1.

    Palettes and CMYK become RGB; of several pages or frames the first is read. ImageError when
    there is no file, it isn't an image, it is truncated or damaged, or its samples have neither
    8 nor 16 bits.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not an image") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot read it ({error.strerror})") from None
    if not data:
        raise ImageError(f"{path}: the file is empty")
    decoded, metadata = _decode(path, data)
    channels = decoded.shape[2] if decoded.ndim == 3 else 1
    if decoded.dtype not in (np.uint8, np.uint16) or channels not in _TO_RGB:
        raise ImageError(
            f"{path}: {channels} channels of {decoded.dtype}; convert it to 8 or 16 bit RGB first"
        )
    metadata = meta.bare(metadata)
    if data[:2] in (b"II", b"MM"):
        metadata |= meta.from_tiff(data)
    turn, metadata = meta.take_orientation(metadata)
    samples = _upright(decoded, turn)
    rgb = _to_float(np.asarray(cv2.cvtColor(samples, _TO_RGB[channels]), samples.dtype))
    alpha = _to_float(samples[..., 3]) if channels == 4 else None
    # OpenCV hands a grey PNG with alpha over as BGRA; byte 25 is the colour type in the file.
    grey = channels == 1 or (data.startswith(meta.PNG_SIGNATURE) and data[25] == 4)
    return Image(rgb, alpha, 16 if samples.dtype == np.uint16 else 8, grey, metadata)


def write(path: Path, image: Image) -> None:
    """Write an image in the format of the suffix, creating its folder; all of it or nothing.

    Depth, grey, alpha and metadata are kept where the format can hold them: 16 bits in PNG and
    TIFF; alpha in PNG, WebP and TIFF, else the image lies over white; metadata in all but BMP
    (EXIF not in TIFF either). JPEG is written at quality 95 without chroma subsampling, WebP at
    quality 95. ImageError when the suffix, the size or the folder doesn't allow it.
    """
    write_samples(path, to_samples(path, image), image)


def write_samples(path: Path, samples: Samples, image: Image) -> None:
    """`write` pixels that `to_samples` made, with the metadata of `image`."""
    check_writable(path)
    data = _encode(path, samples, image.metadata)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ImageError(f"{path}: cannot write it ({error.strerror})") from None


def check_writable(path: Path) -> None:
    """ImageError when `write` could not put an image at this path."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        known = " ".join(IMAGE_SUFFIXES)
        raise ImageError(f'{path}: cannot write "{path.suffix}" files; choose one of {known}')
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; name a file in it")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path}: folder {folder} is not writable")


def quantize(array: Floats, bits: Bits = 8) -> Samples:
    """Round [0,1] to unsigned integers of 8 or 16 bits; what lies outside is clipped."""
    kind = np.uint16 if bits == 16 else np.uint8
    samples: Samples = np.rint(np.clip(array, 0, 1) * np.float32(np.iinfo(kind).max)).astype(kind)
    return samples


def _to_float(samples: Samples) -> Floats:
    """Samples of 8 or 16 bits as float32 in [0,1]."""
    return np.asarray(samples / np.float32(np.iinfo(samples.dtype).max), np.float32)


def resize(array: Floats, height: int, width: int) -> Floats:
    """Antialiased bicubic, (h,w) or (h,w,c) → (height,width[,c]), float32; it may overshoot.

    Keys' kernel with a = −0.5, stretched by the ratio when shrinking, its weights renormalised
    where it leaves the image: the rule of Pillow's BICUBIC.
    """
    rows = _resample(np.asarray(array, np.float32), height)
    columns = _resample(np.ascontiguousarray(rows.swapaxes(0, 1)), width)
    return np.ascontiguousarray(columns.swapaxes(0, 1))


def degrade(hr: Floats, scale: int) -> tuple[Floats, Floats]:
    """An HR image cropped to a multiple of `scale`, and its LR: shrunk, rounded to 8 bits.

    ValueError when the image is smaller than the scale.
    """
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if not height or not width:
        raise ValueError(f"{hr.shape[1]}x{hr.shape[0]} has no LR at scale {scale}")
    hr = hr[: height * scale, : width * scale]
    lr = quantize(resize(hr, height, width)).astype(np.float32) / np.float32(255)
    return hr, lr


def _resample(array: Floats, length: int) -> Floats:
    """Resample the first axis."""
    ratio = array.shape[0] / length
    stretch = max(ratio, 1.0)
    centre = (np.arange(length) + 0.5) * ratio
    first = np.maximum(np.floor(centre - 2 * stretch + 0.5), 0).astype(np.intp)
    last = np.minimum(np.floor(centre + 2 * stretch + 0.5), array.shape[0]).astype(np.intp)
    index = first[:, None] + np.arange((last - first).max())
    weights = _keys((index + 0.5 - centre[:, None]) / stretch) * (index < last[:, None])
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    flat = array.reshape(array.shape[0], -1)
    out = np.zeros((length, flat.shape[1]), np.float32)
    tapped = np.empty_like(out)
    for tap in range(index.shape[1]):
        np.take(flat, index[:, tap], axis=0, out=tapped, mode="clip")
        tapped *= weights[:, tap, None]
        out += tapped
    return out.reshape(length, *array.shape[1:])


def _keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel, a = −0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _decode(path: Path, data: bytes) -> tuple[npt.NDArray[Any], dict[str, bytes]]:
    """Samples as OpenCV gives them, and the metadata by kind."""
    # libpng complains on stderr by itself, so it never sees a PNG that isn't whole.
    if data.startswith(meta.PNG_SIGNATURE) and not meta.is_whole_png(data):
        raise ImageError(f"{path}: truncated or damaged")
    buffer = np.frombuffer(data, np.uint8)
    try:
        with _quiet():
            samples, found, blobs = cv2.imdecodeWithMetadata(buffer, cv2.IMREAD_UNCHANGED)
            known = samples is not None or cv2.haveImageReader(str(path))
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):
            raise ImageError(f"{path}: larger than 2^30 pixels; cut it into parts") from None
        raise ImageError(f"{path}: truncated or damaged") from None
    if samples is None:
        what = "truncated or damaged" if known else "not an image in a known format"
        raise ImageError(f"{path}: {what}")
    names = {number: kind for kind, number in _KINDS.items()}
    pairs = zip(found, blobs, strict=True)
    return samples, {names[number]: blob.tobytes() for number, blob in pairs if number in names}


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV's own lines about bad files stay off stderr; the caller raises one instead.

    The level belongs to the process: when threads overlap here, a line may slip through.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _upright(samples: npt.NDArray[Any], turn: int) -> Samples:
    """Undo an EXIF orientation: 2–4 mirror or turn by 180°, 5–8 swap the axes as well."""
    if turn >= 5:
        samples = samples.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        samples = samples[::-1]
    if turn in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def to_samples(path: Path, image: Image) -> Samples:
    """Pixels as the format of the path's suffix will hold them: grey (h,w), BGR or BGRA."""
    suffix = _suffix(path)
    if image.alpha is not None and suffix not in _ALPHA:
        cover = image.alpha[..., None]
        image = replace(image, rgb=image.rgb * cover + (1 - cover), alpha=None)
    if image.grey and image.alpha is None:
        pixels = image.rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    else:
        alpha = [] if image.alpha is None else [image.alpha[..., None]]
        pixels = np.concatenate([image.rgb[..., ::-1], *alpha], axis=2)
    return quantize(pixels, image.bits if suffix in _SIXTEEN_BITS else 8)


def _suffix(path: Path) -> str:
    return {".jpeg": ".jpg", ".tif": ".tiff"}.get(path.suffix.lower(), path.suffix.lower())


def _encode(path: Path, samples: Samples, metadata: Mapping[str, bytes]) -> bytes:
    suffix, metadata, grey = _suffix(path), dict(metadata), samples.ndim == 2
    # A profile of another colour space (a CMYK file's, say) would now be a lie.
    if metadata.get("icc", b"")[16:20] != (b"GRAY" if grey and suffix != ".webp" else b"RGB "):
        metadata.pop("icc", None)
    kinds = [_KINDS[kind] for kind in metadata] if suffix == ".webp" else []
    blobs = [np.frombuffer(metadata[kind], np.uint8) for kind in metadata] if kinds else []
    size = f"{samples.shape[1]}x{samples.shape[0]}"
    if max(samples.shape[:2]) > _LONGEST.get(suffix, 2**31):
        raise ImageError(f"{path}: {suffix} cannot hold {size} pixels; choose .png or .tiff")
    try:
        done, buffer = cv2.imencodeWithMetadata(
            suffix, samples, kinds, blobs, _PARAMETERS.get(suffix, ())
        )
    except cv2.error:
        done = False
    if not done:
        raise ImageError(f"{path}: OpenCV cannot write {size} pixels as {suffix}")
    embed = {".png": meta.into_png, ".jpg": meta.into_jpeg, ".tiff": meta.into_tiff}.get(suffix)
    return embed(buffer.tobytes(), metadata) if embed else buffer.tobytes()
