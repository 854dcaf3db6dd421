"""Images written row by row: all of it or nothing."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.atomic import replacing
from mmsr_core.runtime.image.decode import bands_of
from mmsr_core.runtime.image.encoder import BmpEncoder, Encoder, VipsEncoder
from mmsr_core.runtime.image.exif import resolution_alone
from mmsr_core.runtime.image.formats import bits_in, check_size, format_of
from mmsr_core.runtime.image.header import Header
from mmsr_core.runtime.image.metadata import corrected, without_foreign_profile
from mmsr_core.runtime.image.resize import Samples, quantize
from mmsr_core.runtime.image.rowfile import Stopped
from mmsr_core.runtime.tiles import Floats

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PIECE = 2**20
"""Samples that are converted at a time."""


def sink_memory(path: Path, height: int, width: int, header: Header) -> int:
    """Bytes that a `Sink` keeps while it writes: some rows, or several times the picture."""
    form = format_of(path)
    if form.whole:
        return form.keeps * height * width
    return 2**25 + form.keeps * width * bands_of(header) * bits_in(form, header.bits) // 8


class Sink:
    """An image file that is written from top to bottom, as a context.

    The format is that of the path's suffix. Depth, grey, alpha and metadata are the header's
    where the format can hold them: see docs/formats.md. `quality`, 1 to 100, is for the formats
    that lose something; the others write every sample as it is. ImageError when the format
    can't hold the image or the file can't be written. When the block raises, no file appears.
    """

    def __init__(
        self, path: Path, height: int, width: int, header: Header, quality: int | None = None
    ) -> None:
        check_size(path, height, width)
        if quality is not None and not 1 <= quality <= 100:
            raise ImageError(f"{path}: quality {quality}; choose one from 1 to 100")
        self._path, self._header = path, header
        self._height, self._width = height, width
        self._form = format_of(path)
        self._quality = quality or self._form.quality
        self._alpha = header.alpha and self._form.alpha
        self._grey = header.grey and (self._form.grey or bool(header.metadata.icc))
        self._bits = bits_in(self._form, header.bits)
        self._top = 0
        self._stack = ExitStack()
        self._encoder: Encoder

    def __enter__(self) -> Self:
        bands = (1 if self._grey else 3) + self._alpha
        dtype = np.dtype({8: np.uint8, 16: np.uint16, 32: np.float32}[self._bits])
        metadata = corrected(self._header.metadata, self._height, self._width)
        if self._form.whole and metadata.resolution and not metadata.exif:
            metadata = replace(metadata, exif=resolution_alone(*metadata.resolution))
        if not (self._grey and not self._form.grey):
            metadata = without_foreign_profile(metadata, self._grey)
        shape = (self._height, self._width, bands)
        try:
            part = self._stack.enter_context(replacing(self._path))
            file = self._stack.enter_context(part.open("w+b"))
        except OSError as error:
            raise self._unwritable(error) from None
        if self._form.name == "bmp":
            self._encoder = BmpEncoder(file, shape, metadata)
        else:
            self._encoder = VipsEncoder(file, self._form, shape, dtype, metadata, self._quality)
        return self

    def write(self, rows: Floats, alpha: Floats | None = None) -> None:
        """The next rows, (n,w,3) in [0,1], and their alpha (n,w) where the header has one."""
        step = max(1, _PIECE // (self._width * 3))
        try:
            for top in range(0, len(rows), step):
                part = slice(top, top + step)
                cover = None if alpha is None else alpha[part]
                self._encoder.put(self._samples(rows[part], cover))
        except Stopped:
            self._top = self._height  # what is missing is not what went wrong
            self._check()
            raise
        self._top += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raised: BaseException | None = None
        try:
            self._encoder.finish()
            if error is None:
                self._check()
        except BaseException as failed:
            raised = failed
        ended = error or raised
        try:
            self._stack.__exit__(type(ended) if ended else None, ended, None)
        except OSError as failed:
            raised = raised or failed
        if error is None and raised is not None:
            raise self._unwritable(raised) if isinstance(raised, OSError) else raised

    def _check(self) -> None:
        """ImageError when the encoder has failed or didn't get all rows."""
        failed = self._encoder.failed
        if isinstance(failed, OSError):
            raise self._unwritable(failed)
        size = f"{self._width}x{self._height}"
        if self._top != self._height:
            raise ImageError(f"{self._path}: {self._top} rows came for {size} pixels")
        if failed is not None:
            raise ImageError(f"{self._path}: cannot write {size} pixels as {self._form.name}")

    def _unwritable(self, error: OSError) -> ImageError:
        return ImageError(f"{self._path}: cannot write it ({error.strerror})")

    def _samples(self, rows: Floats, alpha: Floats | None) -> Samples:
        """Rows as the format holds them: 1 to 4 bands."""
        if alpha is not None and not self._alpha:
            cover = alpha[..., None]
            rows = rows * cover + (1 - cover)
        if self._grey:
            rows = (rows @ _LUMA)[..., None]
        if self._bits == 32:
            low, high = self._header.range
            rows = rows * np.float32(high - low) + np.float32(low)
        if self._alpha:
            cover = np.ones(rows.shape[:2], np.float32) if alpha is None else alpha
            rows = np.concatenate([rows, cover[..., None]], axis=2)
        if self._bits == 32:
            return np.asarray(rows, np.float32)
        return quantize(rows, self._bits)
