"""The answer to the frame before: what did not change since is not computed again."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Floats, Grid


@dataclass(frozen=True, eq=False)
class Previous:
    """The upscaled frame before this one, and where the two frames are the same."""

    pixels: Floats | npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    """(s·h,s·w,3): float32 in [0,1], or uint8 or uint16."""
    same: npt.NDArray[np.bool_]
    """(rows,columns): the cells all of whose LR pixels are those of the frame before."""
    scores: npt.NDArray[np.float64] | None = None
    """The router's answers to the frame before, where there were any: they hold for those cells."""

    def check(self, grid: Grid, scale: int) -> None:
        """ValueError when this was no frame of that size."""
        wanted = (grid.height * scale, grid.width * scale, 3), (grid.rows, grid.columns)
        if (self.pixels.shape, self.same.shape) != wanted:
            raise ValueError(
                f"a previous answer of shape {self.pixels.shape} and same cells of shape "
                f"{self.same.shape} are not {wanted[0]} and {wanted[1]}"
            )

    def settled(self, grid: Grid, halo: int) -> npt.NDArray[np.bool_]:
        """Cells (rows,columns) that would be answered as before: those that are the same, with
        everything that an expert sees of the image around them."""
        reach = 2 * -(-halo // grid.cell) + 1
        return cv2.erode(self.same.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0

    def ground(self, rows: slice, columns: slice) -> Floats:
        """Planes (3,n,m) of a part of the answer, float32 in [0,1]."""
        planes = self.pixels[rows, columns].transpose(2, 0, 1)
        most = {"uint8": 2**8 - 1, "uint16": 2**16 - 1}.get(self.pixels.dtype.name, 1)
        return np.asarray(planes, np.float32) / np.float32(most)
