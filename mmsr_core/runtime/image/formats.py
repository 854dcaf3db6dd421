"""The formats that are written: what each can hold; and the files that are looked for."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmsr_core.errors import ImageError

Bits = Literal[8, 16, 32]


@dataclass(frozen=True)
class Format:
    """What a format holds: see docs/formats.md.

    `bits` of a sample, the most last; `longest` side and `most` pixels; `whole` when its encoder
    wants the whole picture before it begins; `keeps`, so many bytes of every pixel if so, else so
    many rows (measured); `quality` it is written at, None where it is lossless.
    """

    name: str
    suffixes: tuple[str, ...]
    bits: tuple[Bits, ...] = (8,)
    grey: bool = True
    alpha: bool = True
    longest: int = 2**31 - 1
    most: int = 2**62
    whole: bool = False
    keeps: int = 600
    quality: int | None = None


FORMATS = (
    Format("png", (".png",), bits=(8, 16)),
    Format("jpeg", (".jpg", ".jpeg"), alpha=False, longest=65500, quality=95),
    Format("webp", (".webp",), grey=False, longest=16383, whole=True, keeps=27, quality=95),
    Format("tiff", (".tif", ".tiff"), bits=(8, 16, 32), keeps=1200),
    Format("avif", (".avif",), bits=(8, 16), longest=16384, whole=True, keeps=50, quality=90),
    Format("bmp", (".bmp",), alpha=False, longest=2**15 - 1, most=2**29, whole=True, keeps=12),
)
"""AVIF holds 10 bits of the 16."""

WRITABLE_SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)
IMAGE_SUFFIXES = (*WRITABLE_SUFFIXES, ".gif", ".heic", ".heif")
"""What `find_images` finds in a folder. Any file is read by what is in it, not by its name."""
CODEC_SUFFIX = ".mmc"
"""An image that only its codec reads."""


def format_of(path: Path) -> Format:
    """The format that a file of this name is written in; ImageError when there is none."""
    suffix = path.suffix.lower()
    for form in FORMATS:
        if suffix in form.suffixes:
            return form
    known = " ".join(WRITABLE_SUFFIXES)
    raise ImageError(f'{path}: cannot write "{path.suffix}" files; choose one of {known}')


def bits_in(form: Format, bits: Bits) -> Bits:
    """The depth that samples of so many bits get in this format."""
    return min(bits, form.bits[-1])


def check_size(path: Path, height: int, width: int) -> None:
    """ImageError when the format of the path's suffix cannot hold so many pixels."""
    form = format_of(path)
    if max(height, width) > form.longest or height * width > form.most:
        raise ImageError(
            f"{path}: {form.name} cannot hold {width}x{height} pixels; choose .png or .tiff"
        )


def check_writable(path: Path) -> None:
    """ImageError when no image could be written at this path."""
    format_of(path)
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; name a file in it")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path}: folder {folder} is not writable")


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
