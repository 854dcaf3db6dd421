"""EXIF, ICC and XMP: the bytes that travel beside an image's pixels, and what corrects them."""

import re
from dataclasses import replace

from mmsr_core.runtime.image import exif
from mmsr_core.runtime.image.header import Metadata

_STALE = rb"<xmp:Thumbnails\b.*?</xmp:Thumbnails>"


def corrected(metadata: Metadata, height: int, width: int) -> Metadata:
    """The metadata of upright pixels of this size: orientation 1, sizes right, no thumbnail."""
    xmp = metadata.xmp
    for name, value in (
        (rb"tiff:Orientation", 1),
        (rb"(?:tiff:ImageWidth|exif:PixelXDimension)", width),
        (rb"(?:tiff:ImageLength|exif:PixelYDimension)", height),
    ):
        told = rb"(%b(?:\s*=\s*[\"']|>)\s*)\d+" % name
        xmp = re.sub(told, rb"\g<1>%d" % value, xmp)
    xmp = re.sub(_STALE, b"", xmp, flags=re.DOTALL)
    return replace(metadata, exif=exif.corrected(metadata.exif, height, width), xmp=xmp)


def without_foreign_profile(metadata: Metadata, grey: bool) -> Metadata:
    """The metadata without an ICC profile of another colour space than the pixels' own."""
    if metadata.icc[16:20] == (b"GRAY" if grey else b"RGB "):
        return metadata
    return replace(metadata, icc=b"")
