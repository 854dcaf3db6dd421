"""Cutting photographs into tiles of one size."""

import numpy as np
import numpy.typing as npt

from mmsr_core.train.data import Bytes

Corners = npt.NDArray[np.int64]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side: `overlap` is what two neighbours share.

    When the last whole step leaves a rest, one more tile ends at the far border and shares more
    with its neighbour; a rest of less than half a step is not worth that, and is lost. None at
    all where the side is shorter than a tile.
    """
    step, last = tile - overlap, length - tile
    if last < 0:
        return []
    found = list(range(0, last + 1, step))
    if 2 * (last - found[-1]) >= step:
        found.append(last)
    return found


def corners(height: int, width: int, tile: int, overlap: int) -> Corners:
    """Top and left (n,2) of every tile of an image, row by row."""
    tops, lefts = starts(height, tile, overlap), starts(width, tile, overlap)
    return np.array([(top, left) for top in tops for left in lefts], np.int64).reshape(-1, 2)


def cut(pixels: Bytes, places: Corners, side: int) -> Bytes:
    """The squares (n,side,side,3) of an image (h,w,3) at these corners (n,2)."""
    tiles = np.empty((len(places), side, side, 3), np.uint8)
    for tile, (top, left) in zip(tiles, places.tolist(), strict=True):
        tile[...] = pixels[top : top + side, left : left + side]
    return tiles
