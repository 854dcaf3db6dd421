"""Where an image's pixels come from: an array, or a file that is read from top to bottom."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.tiles import Box, Floats

STRIP = 64
"""Rows that are read at a time."""


class Source(Protocol):
    """An image that gives its rows from top to bottom, as often as it is asked."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    def strips(self, rows: int) -> Iterator[Floats]:
        """All of it, float32 in [0,1], `rows` rows at a time; the last strip may have fewer.

        Every call starts at the top. Strips of colour are (n,w,3), those of alpha (n,w); they
        stay as they are when the next one is asked for.
        """


@dataclass(frozen=True)
class Held:
    """An image that is in memory: float32 (h,w,3), or (h,w) for alpha."""

    pixels: Floats

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def strips(self, rows: int) -> Iterator[Floats]:
        """See `Source`."""
        for top in range(0, self.height, rows):
            yield self.pixels[top : top + rows]


def gathered(rows: Iterator[Floats], shape: tuple[int, ...]) -> Floats:
    """All rows in one array of this shape."""
    made = np.empty(shape, np.float32)
    top = 0
    for part in rows:
        made[top : top + len(part)] = part
        top += len(part)
    return made


class Window:
    """Some rows of a source, in memory; they move from top to bottom, and never back."""

    def __init__(self, source: Source) -> None:
        """Nothing is read yet. What is in memory already is not copied."""
        self._height = source.height
        self._strips = source.strips(source.height if isinstance(source, Held) else STRIP)
        self._held: deque[Floats] = deque()
        self._top = self._bottom = 0

    @property
    def rows(self) -> int:
        """How many are held."""
        return self._bottom - self._top

    def move(self, top: int, bottom: int) -> None:
        """Hold at least rows `top` to `bottom`; ImageError when the source ends before that."""
        while self._bottom < bottom or (self._held and self._top + len(self._held[0]) <= top):
            if self._held and self._top + len(self._held[0]) <= top:
                self._top += len(self._held.popleft())
                continue
            strip = next(self._strips, None)
            if strip is None:
                raise ImageError(f"the image ends after {self._bottom} of {self._height} rows")
            self._held.append(strip)
            self._bottom += len(strip)

    def cut(self, box: Box) -> Floats:
        """The pixels (h,w,3) of a box whose rows are held."""
        parts, top = [], self._top
        for strip in self._held:
            bottom = top + len(strip)
            if top < box.bottom and bottom > box.top:
                rows = slice(max(0, box.top - top), box.bottom - top)
                parts.append(strip[rows, box.left : box.right])
            top = bottom
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
