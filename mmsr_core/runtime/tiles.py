"""Cutting an image into cells and regions, and the exact inverse.

Coordinates are LR pixels unless a name says otherwise. A cell is the square that the router
scores; a region is a rectangle of whole cells that one route answers for.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


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
        rows, columns, t = self.rows, self.columns, self.cell
        below, right = rows * t - self.height, columns * t - self.width
        padded = np.pad(image, ((0, 0), (0, below), (0, right)), mode="edge")
        cut = padded.reshape(3, rows, t, columns, t).transpose(1, 3, 0, 2, 4)
        return np.ascontiguousarray(cut.reshape(rows * columns, 3, t, t))


class Canvas:
    """An upscaled image under construction: regions are added, their weights sum to 1.

    Every region's weight is the product of two trapezoids, and those of a tiling's neighbours
    are complementary, so that no normalisation is needed.
    """

    def __init__(self, grid: Grid, scale: int, overlap: int, average: bool) -> None:
        """`overlap` is the full width, in LR pixels, that neighbouring regions share."""
        self.grid, self.scale, self.average = grid, scale, average
        self.half = overlap * scale // 2
        self.pixels: Floats = np.zeros((3, grid.height * scale, grid.width * scale), np.float32)

    @property
    def margin(self) -> int:
        """LR pixels beyond a region's box that its answer has to cover."""
        return -(-self.half // self.scale)

    def add(self, box: Box, upscaled: Floats, window: Box) -> None:
        """Blend in the answer for `box`: `upscaled` (3,H,W) covers the larger `window`."""
        height, width = self.pixels.shape[1:]
        inner = box.scaled(self.scale)
        outer = inner.grown(self.half, height, width)
        origin = window.scaled(self.scale)
        answer = upscaled[
            :,
            outer.top - origin.top : outer.bottom - origin.top,
            outer.left - origin.left : outer.right - origin.left,
        ]
        target = self.pixels[:, outer.top : outer.bottom, outer.left : outer.right]
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
            weight = np.outer(vertical[strip_rows], horizontal[strip_columns])
            target[:, strip_rows, strip_columns] += answer[:, strip_rows, strip_columns] * weight

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


def _plateau(weights: Floats) -> slice:
    """The run of ones."""
    ones = np.flatnonzero(weights == 1)
    return slice(int(ones[0]), int(ones[-1]) + 1) if len(ones) else slice(0, 0)
