"""What an image file says beside its pixels."""

from dataclasses import dataclass, field
from typing import NamedTuple

from mmsr_core.runtime.image.formats import Bits


class Resolution(NamedTuple):
    """Pixels to the inch, across and down."""

    across: float
    down: float


def sensible(told: tuple[float, float] | None) -> Resolution | None:
    """What a file tells of its resolution, unless no image could have it."""
    return Resolution(*told) if told and all(1 <= dpi <= 1e6 for dpi in told) else None


@dataclass(frozen=True)
class Metadata:
    """The bytes of EXIF, ICC and XMP, empty where there is none, and the resolution.

    EXIF begins with its byte order ("II" or "MM"); what a container puts before it is not here.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    resolution: Resolution | None = None


@dataclass(frozen=True)
class Header:
    """An image file's facts, upright: an orientation is applied already and reset to 1.

    `bits` of a sample, 32 being float; `grey` when there is one channel of colour; `frames` (or
    pages) in the file, of which the first counts; `range` what 0 and 1 stand for in a float file.
    """

    height: int
    width: int
    bits: Bits = 8
    grey: bool = False
    alpha: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    frames: int = 1
    range: tuple[float, float] = (0.0, 1.0)
