"""Cutting an image into cells and regions, and the exact inverse.

Coordinates are LR pixels unless a name says otherwise. A cell is the square that the router
scores; a region is a rectangle of whole cells that one route answers for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ground = Callable[[slice, slice], Floats]
"""Planes (3,n,m) of an answer that is there already, for rows and columns of upscaled pixels."""

SLAB = 2 * 2**20
"""Bytes of the rows that leave a canvas at a time: what follows finds them in the cache."""


@dataclass(frozen=True)
class Box:
    """A rectangle, end-exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.bottom - self.top) * (self.right - self.left)

    def grown(self, margin: int, height: int, width: int) -> Self:
        """The box with a margin on every side, clipped to the image."""
        return type(self)(
            max(0, self.top - margin),
            min(height, self.bottom + margin),
            max(0, self.left - margin),
            min(width, self.right + margin),
        )

    def scaled(self, scale: int) -> Self:
        """The same box in the upscaled image."""
        return type(self)(
            self.top * scale, self.bottom * scale, self.left * scale, self.right * scale
        )


@dataclass(frozen=True)
class Grid:
    """The cells of an image; those of the last row and column may be cut short by its border."""

    height: int
    width: int
    cell: int

    @property
    def rows(self) -> int:
        """Cells from top to bottom."""
        return -(-self.height // self.cell)

    @property
    def columns(self) -> int:
        """Cells from left to right."""
        return -(-self.width // self.cell)

    def box(self, rows: slice, columns: slice) -> Box:
        """The pixels of a rectangle of cells."""
        return Box(
            rows.start * self.cell,
            min(self.height, rows.stop * self.cell),
            columns.start * self.cell,
            min(self.width, columns.stop * self.cell),
        )

    def cells(self, image: Floats) -> Floats:
        """Image (3,h,w) → cells (rows·columns,3,t,t), row by row; short ones repeat the border."""
        return self.cells_in(image.transpose(1, 2, 0))

    def cells_in(self, strip: Floats) -> Floats:
        """The same of a strip (n,w,3) of the image that begins where a row of cells does."""
        t, rows, columns = self.cell, -(-strip.shape[0] // self.cell), self.columns
        below, right = rows * t - strip.shape[0], columns * t - self.width
        padded = np.pad(strip, ((0, below), (0, right), (0, 0)), mode="edge")
        cut = padded.reshape(rows, t, columns, t, 3).transpose(0, 2, 4, 1, 3)
        return np.ascontiguousarray(cut.reshape(rows * columns, 3, t, t))

    @property
    def areas(self) -> npt.NDArray[np.float64]:
        """Pixels of every cell (rows·columns,), row by row."""
        heights, widths = (
            np.diff(np.append(np.arange(0, side, self.cell), side))
            for side in (self.height, self.width)
        )
        return np.outer(heights, widths).ravel().astype(np.float64)


class Canvas:
    """An upscaled image under construction: regions are added, their weights sum to 1.

    Every region's weight is the product of two trapezoids, and those of a tiling's neighbours
    are complementary, so that no normalisation is needed. Only a band of it is in memory: rows
    leave as soon as no later region touches them, and what is held moves down.
    """

    def __init__(
        self,
        grid: Grid,
        scale: int,
        overlap: int,
        average: bool,
        band: int | None = None,
        ground: Ground | None = None,
    ) -> None:
        """`overlap` is the full width, in LR pixels, that neighbouring regions share; `band` the
        most LR rows that are added between two calls of `take`, by default all of them. `ground`
        is what shows where no region is added, to the bit, and what their borders fade into."""
        self.grid, self.scale, self.average = grid, scale, average
        self.half = overlap * scale // 2
        self._size = grid.height * scale, grid.width * scale
        rows = self._size[0] if band is None else min(self._size[0], band * scale + 2 * self.half)
        self._held: Floats = np.zeros((3, rows, self._size[1]), np.float32)
        self._top = 0
        self._slab = max(8, SLAB // (12 * self._size[1]))
        self._ground = ground
        if ground is not None:
            self._clear(0)

    @property
    def margin(self) -> int:
        """LR pixels beyond a region's box that its answer has to cover."""
        return -(-self.half // self.scale)

    def add(self, box: Box, upscaled: Floats, window: Box) -> None:
        """Blend in the answer for `box`: `upscaled` (3,H,W) covers the larger `window`."""
        height, width = self._size
        inner = box.scaled(self.scale)
        outer = inner.grown(self.half, height, width)
        origin = window.scaled(self.scale)
        answer = upscaled[
            :,
            outer.top - origin.top : outer.bottom - origin.top,
            outer.left - origin.left : outer.right - origin.left,
        ]
        held = slice(outer.top - self._top, outer.bottom - self._top)
        target = self._held[:, held, outer.left : outer.right]
        vertical = self._weights(inner.top, inner.bottom, height)
        horizontal = self._weights(inner.left, inner.right, width)
        if np.all(vertical == 1) and np.all(horizontal == 1):
            target[...] = answer
            return
        # Where the weight is 1 no other region reaches: a copy does. The rest adds up.
        rows, columns = _plateau(vertical), _plateau(horizontal)
        target[:, rows, columns] = answer[:, rows, columns]
        everywhere = slice(0, len(horizontal))
        strips = [(slice(0, rows.start), everywhere), (slice(rows.stop, None), everywhere)]
        strips += [(rows, slice(0, columns.start)), (rows, slice(columns.stop, None))]
        for strip_rows, strip_columns in strips:
            part = answer[:, strip_rows, strip_columns]
            if self._ground is not None:
                below = slice(outer.top, outer.bottom), slice(outer.left, outer.right)
                part = part - self._ground(
                    _part(below[0], strip_rows), _part(below[1], strip_columns)
                )
            weight = np.outer(vertical[strip_rows], horizontal[strip_columns])
            target[:, strip_rows, strip_columns] += part * weight

    def take(self, bottom: int) -> Iterator[Floats]:
        """The rows that are finished once every region above LR row `bottom` has been added.

        Slabs (3,n,W) from top to bottom, each valid until the next; they leave the canvas when
        the last has been asked for.
        """
        last = bottom >= self.grid.height
        end = self._size[0] if last else bottom * self.scale - self.half
        ready = end - self._top
        for top in range(0, ready, self._slab):
            yield self._held[:, top : min(ready, top + self._slab)]
        self._top = end
        if not last:  # the seam to the next band is half done
            seam = self._held[:, ready : ready + 2 * self.half].copy()
            self._held[:, : seam.shape[1]] = seam
            self._clear(seam.shape[1])

    def _clear(self, start: int) -> None:
        """Make the rows held from `start` on what they are where nothing is added."""
        if self._ground is None:
            self._held[:, start:] = 0
            return
        count = min(self._held.shape[1], self._size[0] - self._top)
        for top in range(start, count, self._slab):
            rows = slice(self._top + top, self._top + min(count, top + self._slab))
            self._held[:, top : rows.stop - self._top] = self._ground(rows, slice(0, self._size[1]))

    def _weights(self, start: int, stop: int, length: int) -> Floats:
        """Trapezoid over [start − half, stop + half), clipped to [0, length), flat at borders."""
        position = np.arange(max(0, start - self.half), min(length, stop + self.half)) + 0.5
        weights = np.ones(len(position), np.float32)
        if self.half:
            if start > 0:
                weights *= self._rise(position - start)
            if stop < length:
                weights *= 1 - self._rise(position - stop)
        return weights

    def _rise(self, distance: npt.NDArray[np.floating]) -> Floats:
        """0 before, 1 after the seam at distance 0; between, linear, or ½ when averaging."""
        inside = 0.5 if self.average else 0.5 + distance / (2 * self.half)
        rise = np.where(np.abs(distance) < self.half, inside, distance > 0)
        return rise.astype(np.float32)


def _part(whole: slice, inner: slice) -> slice:
    """A slice of a slice, with absolute ends."""
    start, stop, _ = inner.indices(whole.stop - whole.start)
    return slice(whole.start + start, whole.start + stop)


def _plateau(weights: Floats) -> slice:
    """The run of ones."""
    ones = np.flatnonzero(weights == 1)
    return slice(int(ones[0]), int(ones[-1]) + 1) if len(ones) else slice(0, 0)
