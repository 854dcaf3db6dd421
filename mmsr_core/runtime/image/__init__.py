"""Images: files opened, streamed, and written with all that travels beside the pixels."""

from mmsr_core.runtime.image.formats import (
    IMAGE_SUFFIXES,
    WRITABLE_SUFFIXES,
    Bits,
    check_size,
    check_writable,
    find_images,
)
from mmsr_core.runtime.image.header import Header, Metadata, Resolution
from mmsr_core.runtime.image.picture import MOST_PIXELS, Picture, open_image
from mmsr_core.runtime.image.resize import Samples, degrade, quantize, resize, to_float
from mmsr_core.runtime.image.sink import Sink, sink_memory
from mmsr_core.runtime.image.whole import Image, read, write

__all__ = [
    "IMAGE_SUFFIXES",
    "MOST_PIXELS",
    "WRITABLE_SUFFIXES",
    "Bits",
    "Header",
    "Image",
    "Metadata",
    "Picture",
    "Resolution",
    "Samples",
    "Sink",
    "check_size",
    "check_writable",
    "degrade",
    "find_images",
    "open_image",
    "quantize",
    "read",
    "resize",
    "sink_memory",
    "to_float",
    "write",
]
