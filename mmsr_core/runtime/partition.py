"""The cheapest way to cut a rectangle of cells into rectangles by straight cuts."""

from itertools import product

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Box

Array = npt.NDArray[np.float64]


def partition(
    losses: Array, heights: Array, widths: Array, rates: Array, start: float
) -> list[tuple[Box, int]]:
    """The cheapest guillotine partition of cells, by dynamic programming over its rectangles.

    Rectangles come in cells, each with its route. `losses` (rows,columns,routes) is what a route
    loses on each cell, `heights` and `widths` (size, position) the pixels that so many cells span
    from there on, `rates` (routes,) what each of them costs, and `start` what a rectangle costs.

    `best[h, w, i, j]` is the least value of the h×w rectangle at (i, j); `by_bottom` and
    `by_right` hold the same indexed by the far edge, so that all cuts of all positions of one
    size are two array operations.
    """
    rows, columns, n = losses.shape
    table = np.zeros((rows + 1, columns + 1, n))
    table[1:, 1:] = losses.cumsum(0).cumsum(1)
    shape = (rows + 1, columns + 1, rows + 1, columns + 1)
    best = np.full(shape, np.inf)
    by_bottom, by_right = best.copy(), best.copy()
    choice = np.zeros(shape, np.int16)
    for h, w in product(range(1, rows + 1), range(1, columns + 1)):
        down, across = rows - h + 1, columns - w + 1
        lost = table[h:, w:] - table[:down, w:] - table[h:, :across] + table[:down, :across]
        pixels = np.outer(heights[h, :down], widths[w, :across])
        values = lost + pixels[:, :, None] * rates + start
        chosen = values.argmin(2)
        value = np.take_along_axis(values, chosen[:, :, None], 2)[:, :, 0]
        if h > 1:
            cut = best[1:h, w, :down, :across] + by_bottom[h - 1 : 0 : -1, w, h:, :across]
            value, chosen = _take(cut, n, value, chosen)
        if w > 1:
            cut = best[h, 1:w, :down, :across] + by_right[h, w - 1 : 0 : -1, :down, w:]
            value, chosen = _take(cut, n + rows, value, chosen)
        best[h, w, :down, :across] = value
        by_bottom[h, w, h:, :across] = value
        by_right[h, w, :down, w:] = value
        choice[h, w, :down, :across] = chosen
    return _read(choice, n, rows, columns)


def _take(
    cut: Array, code: int, value: Array, chosen: npt.NDArray[np.intp]
) -> tuple[Array, npt.NDArray[np.intp]]:
    where = cut.argmin(0)
    least = np.take_along_axis(cut, where[None], 0)[0]
    better = least < value
    return np.where(better, least, value), np.where(better, code + where, chosen)


def _read(choice: npt.NDArray[np.int16], n: int, rows: int, columns: int) -> list[tuple[Box, int]]:
    found: list[tuple[Box, int]] = []
    todo = [(rows, columns, 0, 0)]
    while todo:
        h, w, i, j = todo.pop()
        code = int(choice[h, w, i, j])
        if code < n:
            found.append((Box(i, i + h, j, j + w), code))
        elif code < n + rows:
            k = code - n + 1
            todo += [(h - k, w, i + k, j), (k, w, i, j)]
        else:
            k = code - n - rows + 1
            todo += [(h, w - k, i, j + k), (h, k, i, j)]
    return found
