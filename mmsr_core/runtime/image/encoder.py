"""Encoders that take an image's rows as they come and write its file."""

import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import cv2
import numpy as np

from mmsr_core.runtime.image import avif, containers
from mmsr_core.runtime.image.encode import SAVERS
from mmsr_core.runtime.image.formats import Format
from mmsr_core.runtime.image.header import Metadata
from mmsr_core.runtime.image.resize import Samples
from mmsr_core.runtime.image.rowfile import RowFile
from mmsr_core.runtime.image.vips import libvips

_HEAD = 1024
"""Bytes at the beginning of a PNG or JPEG that hold all that is replaced in it."""


class Encoder(Protocol):
    """Something that makes a file of rows."""

    failed: Exception | None
    """What went wrong, known when `finish` has returned."""

    def put(self, rows: Samples) -> None:
        """The next rows. `Stopped` when it has failed."""

    def finish(self) -> None:
        """No more rows come: write the file if they were all, and give it up if they weren't."""


class BmpEncoder:
    """BMP, encoded when all of it is there."""

    failed: Exception | None = None

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int], metadata: Metadata) -> None:
        self._file, self._metadata = file, metadata
        self._samples = np.empty(shape, np.uint8)
        self._top = 0

    def put(self, rows: Samples) -> None:
        """The next rows."""
        self._samples[self._top : self._top + len(rows)] = rows
        self._top += len(rows)

    def finish(self) -> None:
        """Write the file if it is whole."""
        if self._top == len(self._samples):
            done, data = cv2.imencode(".bmp", self._samples[..., ::-1])
            assert done
            self._file.write(containers.into_bmp(data.tobytes(), self._metadata))


class VipsEncoder:
    """libvips on a thread of its own, which pulls the rows that it is given."""

    def __init__(
        self,
        file: BinaryIO,
        form: Format,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        metadata: Metadata,
        quality: int | None,
    ) -> None:
        self.failed: Exception | None = None
        self._rows = RowFile(*shape, dtype)
        self._file, self._form, self._shape = file, form, shape
        self._metadata, self._quality = metadata, quality
        self._head: bytearray | None = bytearray() if form.name in ("png", "jpeg") else None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def put(self, rows: Samples) -> None:
        """The next rows. `Stopped` when the encoder has failed."""
        self._rows.put(rows)

    def finish(self) -> None:
        """Wait for the end: `failed` says whether it was a good one."""
        self._rows.end()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._encode()
        except Exception as error:
            self.failed = self.failed or error
        finally:
            self._rows.stop()

    def _encode(self) -> None:
        vips = libvips()
        source = vips.SourceCustom()
        source.on_read(self._rows.read)
        source.on_seek(self._rows.seek)
        picture = vips.Image.tiffload_source(source, access="sequential", fail_on="error")
        target = vips.TargetCustom()
        target.on_write(self._guarded(self._write, -1))
        target.on_read(self._guarded(self._file.read, b""))
        target.on_seek(self._guarded(self._file.seek, -1))
        SAVERS[self._form.name](picture, target, self._metadata, self._quality)
        if self.failed is None:
            self._end()

    def _guarded(self, call: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
        """A callback that keeps what it raises for `failed`: libvips can't pass it on."""

        def guarded(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except Exception as error:
                self.failed = self.failed or error
                return otherwise

        return guarded

    def _write(self, data: Any) -> int:
        data = bytes(data)
        if self._head is None:
            self._file.write(data)
        else:
            self._head += data
            if len(self._head) >= _HEAD:
                self._splice()
        return len(data)

    def _splice(self) -> None:
        if self._head is not None:
            head, self._head = bytes(self._head), None
            change = {"png": containers.png_head, "jpeg": containers.jpeg_head}[self._form.name]
            self._file.write(change(head, self._metadata))

    def _end(self) -> None:
        self._splice()
        if self._form.name == "tiff":
            containers.into_tiff(self._file, self._metadata)
        if self._form.name == "avif" and self._metadata.exif:
            avif.set_exif(self._file, self._metadata.exif)
        if self._form.name == "webp":
            height, width, _ = self._shape
            self._file.seek(0)
            data = containers.into_webp(self._file.read(), height, width, self._metadata)
            self._file.seek(0)
            self._file.write(data)
        self._file.flush()
