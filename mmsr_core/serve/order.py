"""What a request asks for, and the picture that it brings."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from mmsr_core.errors import ImageError, one_line
from mmsr_core.runtime.image import WRITABLE_SUFFIXES, Header, check_size, open_image
from mmsr_core.runtime.sizes import Size
from mmsr_core.serve.models import Served
from mmsr_core.serve.problem import Problem
from mmsr_core.serve.settings import GROWTH, Limits

Form = Literal["png", "jpg", "webp", "tiff", "avif"]
MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
}
"""What the formats that are written are called."""
_LONGEST = 120


@dataclass(frozen=True)
class Order:
    """How a picture is to be upscaled."""

    model: str | None
    effort: float | None
    size: Size
    form: Form | None
    quality: int | None
    map: bool = False


@dataclass(frozen=True)
class Parcel:
    """A picture that came with a request, in a folder of its own."""

    folder: Path
    name: str
    """The file's name as the client has it."""
    header: Header

    @property
    def source(self) -> Path:
        """The file."""
        return self.folder / "source"

    def suffix(self, form: Form | None) -> str:
        """That of the answer: as asked, else the source's own, PNG where that isn't written."""
        own = PurePosixPath(self.name).suffix.lower()
        return f".{form}" if form else own if own in WRITABLE_SUFFIXES else ".png"

    def named(self, scale: float, suffix: str) -> str:
        """What the answer is called."""
        return f"{PurePosixPath(self.name).stem or 'picture'}-x{scale:g}{suffix}"

    def said(self, error: Exception) -> str:
        """An error without the places of this machine."""
        line = str(error).replace(f"{self.source}: ", "").replace(str(self.folder), "")
        return one_line(line)

    def drop(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def receive(file: IO[bytes], name: str | None, limits: Limits, home: Path) -> Parcel:
    """Keep an upload, in a folder of its own in `home`, and look at its header.

    Problem 415 when it is no image that can be read, 413 when it has too many pixels.
    """
    folder = Path(tempfile.mkdtemp(dir=home))
    plain = "".join(c for c in (name or "").replace("\\", "/") if c.isprintable())
    known = (PurePosixPath(plain).name or "picture")[-_LONGEST:]
    parcel = Parcel(folder, known, Header(0, 0))
    try:
        with parcel.source.open("wb") as kept:
            shutil.copyfileobj(file, kept, 2**20)
        header = open_image(parcel.source, hold=0).header
    except ImageError as error:
        parcel.drop()
        raise Problem(415, f"{known}: {parcel.said(error)}") from None
    except BaseException:
        parcel.drop()
        raise
    if header.height * header.width > limits.pixels:
        parcel.drop()
        raise Problem(
            413,
            f"{known}: {header.width}x{header.height} is larger than the "
            f"{limits.pixels / 1e6:g} megapixels that this server takes; send a smaller picture",
        )
    return Parcel(folder, known, header)


def target_of(order: Order, parcel: Parcel, served: Served, limits: Limits) -> tuple[int, int]:
    """Height and width of the answer.

    Problem 422 when the size can't be reached or the format can't hold it, 413 when it is too
    large.
    """
    small = parcel.header.height, parcel.header.width
    upscaler = served.sized(order.size)
    try:
        height, width = upscaler.target(*small)
        if height * width > GROWTH * limits.pixels:
            raise Problem(
                413,
                f"{width}x{height} would be larger than the {GROWTH * limits.pixels / 1e6:g} "
                "megapixels that this server makes; ask for less",
            )
        upscaler.passes(*small)
        check_size(Path(f"the answer{parcel.suffix(order.form)}"), height, width)
    except ImageError as error:
        raise Problem(422, parcel.said(error)) from None
    return height, width
