"""An image between two passes: kept as 16-bit integers, in memory or, a large one, on disk."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError
from mmsr_core.runtime.tiles import Floats

HOLD = 2**26
"""Bytes of samples that stay in memory; more of them go to a temporary file."""
_TOP = np.float32(65535)

Samples = npt.NDArray[np.uint16]


def memory_needed(height: int, width: int) -> int:
    """Bytes of memory that a spool of this size takes."""
    size = 6 * height * width
    return size if size <= HOLD else 0


class Spool:
    """Rows that were computed once, as a `Source`, clipped to [0,1] and rounded to 16 bits.

    Its temporary file has no name where the system allows that, and goes with the process.
    """

    def __init__(self, rows: Iterator[Floats], height: int, width: int) -> None:
        """Take all the rows (n,width,3). ImageError when there is no room to keep them."""
        self.height = height
        self.width = width
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._samples = np.empty((0, width, 3), np.uint16)
        if memory_needed(height, width):
            self._samples = np.concatenate([_rounded(part) for part in rows])
        else:
            self._file = self._write(rows)

    def strips(self, rows: int) -> Iterator[Floats]:
        """See `Source`."""
        for top in range(0, self.height, rows):
            count = min(rows, self.height - top)
            part = self._samples[top : top + count]
            if self._file is not None:
                part = self._read(self._file, top, count)
            yield np.asarray(part / _TOP, np.float32)

    def close(self) -> None:
        """Give back what it takes; nothing can be read afterwards."""
        self._samples = self._samples[:0].copy()
        if self._file is not None:
            self._file.close()

    def _write(self, rows: Iterator[Floats]) -> IO[bytes]:
        with ExitStack() as stack:
            with self._complaining():
                file = stack.enter_context(tempfile.TemporaryFile(prefix="mmsr-"))
            for part in rows:  # whose errors are not those of this file
                with self._complaining():
                    file.write(_rounded(part).data)
            with self._complaining():
                file.flush()
            stack.pop_all()
        return file

    def _read(self, file: IO[bytes], top: int, count: int) -> Samples:
        samples = np.empty((count, self.width, 3), np.uint16)
        with self._lock, self._complaining():
            file.seek(samples[0].nbytes * top)
            got = file.readinto(samples.data.cast("B"))  # type: ignore[attr-defined]
        if got != samples.nbytes:
            raise ImageError("the first pass was cut short in its temporary file; run it again")
        return samples

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            size = 6 * self.height * self.width / 2**20
            raise ImageError(
                f"a pass of {self.width}x{self.height} can't be kept in {tempfile.gettempdir()} "
                f"({error.strerror}); set TMPDIR to a folder with room for {size:.0f} MiB"
            ) from None


def _rounded(rows: Floats) -> Samples:
    samples: Samples = np.rint(np.clip(rows, 0, 1) * _TOP).astype(np.uint16)
    return samples
