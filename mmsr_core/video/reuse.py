"""What did not change since a frame was upscaled."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Grid
from mmsr_core.video.colour import Plane

Cells = npt.NDArray[np.bool_]
"""One truth for every cell of a grid, (rows,columns)."""


class Reference:
    """The samples that every cell's answer was computed from.

    A cell is compared with these, not with the last frame: what changes by less than the
    threshold from frame to frame can't drift away unnoticed.
    """

    def __init__(self, grid: Grid, threshold: float) -> None:
        """`threshold` in sample values: the most by which one of a cell may differ."""
        self.grid, self.threshold = grid, threshold
        self._planes: list[Plane] | None = None

    def same(self, planes: Sequence[Plane]) -> Cells:
        """The cells of a frame that look as they did when they were computed."""
        found = np.full((self.grid.rows, self.grid.columns), self._planes is not None)
        for plane, before in zip(planes, self._planes or (), strict=self._planes is not None):
            found &= self._largest(plane, before) <= self.threshold
        return found

    def update(self, planes: Sequence[Plane], computed: Cells) -> None:
        """Take over the samples of the cells that were computed from this frame."""
        if self._planes is None or computed.all():
            self._planes = [plane.copy() for plane in planes]
            return
        for plane, mine in zip(planes, self._planes, strict=True):
            tops, lefts = self._edges(plane)
            for row in np.flatnonzero(computed.any(axis=1)):
                rows = slice(tops[row], tops[row + 1])
                spread = np.repeat(computed[row], np.diff(lefts))
                np.copyto(mine[rows], plane[rows], where=spread)

    def _largest(self, plane: Plane, before: Plane) -> npt.NDArray[np.integer]:
        """The largest difference in each cell."""
        differences = np.maximum(plane, before) - np.minimum(plane, before)
        tops, lefts = self._edges(plane)
        rows = np.maximum.reduceat(differences, tops[:-1], axis=0)
        return np.maximum.reduceat(rows, lefts[:-1], axis=1)

    def _edges(self, plane: Plane) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Where the cells of a plane begin, and its end; chroma has fewer samples to a cell."""
        sides = zip(
            plane.shape,
            (self.grid.height, self.grid.width),
            (self.grid.rows, self.grid.columns),
            strict=True,
        )
        tops, lefts = (
            np.append(np.arange(cells) * self.grid.cell // round(whole / side), side)
            for side, whole, cells in sides
        )
        return tops, lefts
