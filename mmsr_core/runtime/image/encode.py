"""How each format is written by libvips."""

from typing import Any

from mmsr_core.runtime.image.header import Metadata
from mmsr_core.runtime.image.vips import libvips

_TILED = 2**26
_BIG = 2**31
_EXIF, _XMP, _ICC = 1, 2, 8
"""What libvips is to keep, in its numbers."""
_PREDICTORS = {8: "horizontal", 16: "horizontal", 32: "float"}


def png(picture: Any, target: Any, metadata: Metadata, quality: int | None) -> None:
    """Lossless, at a compression that costs little time."""
    picture.pngsave_target(target, compression=2, filter="up", keep="none")


def jpeg(picture: Any, target: Any, metadata: Metadata, quality: int | None) -> None:
    """Colour at full resolution."""
    picture.jpegsave_target(target, Q=quality, subsample_mode="off", keep="none")


def webp(picture: Any, target: Any, metadata: Metadata, quality: int | None) -> None:
    """Lossy. A grey profile, which WebP can't hold, is applied: grey becomes sRGB."""
    if picture.bands < 3 and metadata.icc:
        picture = picture.copy()
        picture.set_type(libvips().GValue.blob_type, "icc-profile-data", metadata.icc)
        picture = picture.icc_transform("srgb", embedded=True, intent="relative")
    picture.webpsave_target(target, Q=quality, effort=2, smart_subsample=True, keep="none")


def tiff(picture: Any, target: Any, metadata: Metadata, quality: int | None) -> None:
    """Lossless; a large picture in tiles, a very large one as BigTIFF."""
    bits = {"uchar": 8, "ushort": 16, "float": 32}[picture.format]
    resolution = metadata.resolution or (1.0, 1.0)  # taken out again
    picture.tiffsave_target(
        target,
        compression="deflate",
        level=2,
        predictor=_PREDICTORS[bits],
        tile=picture.width * picture.height > _TILED,
        tile_width=256,
        tile_height=256,
        bigtiff=is_big(picture.height, picture.width, picture.bands, bits),
        resunit="inch",
        xres=resolution[0] / 25.4,
        yres=resolution[1] / 25.4,
        keep="none",
    )


def is_big(height: int, width: int, bands: int, bits: int) -> bool:
    """Whether a TIFF of such an image may outgrow the 4 GiB of the classic format."""
    return height * width * bands * bits // 8 > _BIG


def avif(picture: Any, target: Any, metadata: Metadata, quality: int | None) -> None:
    """Lossy, colour at full resolution; 10 bits where there are more than 8."""
    picture = _with(picture, metadata)
    picture.heifsave_target(
        target,
        Q=quality,
        compression="av1",
        effort=2,
        bitdepth=8 if picture.format == "uchar" else 10,
        subsample_mode="off",
        keep=(_EXIF if metadata.exif else 0) | _XMP | _ICC,
    )


def _with(picture: Any, metadata: Metadata) -> Any:
    kind = libvips().GValue.blob_type
    picture = picture.copy()
    for field, data in (
        ("exif-data", metadata.exif),
        ("icc-profile-data", metadata.icc),
        ("xmp-data", metadata.xmp),
    ):
        if data:
            picture.set_type(kind, field, data)
    return picture


SAVERS = {"png": png, "jpeg": jpeg, "webp": webp, "tiff": tiff, "avif": avif}
