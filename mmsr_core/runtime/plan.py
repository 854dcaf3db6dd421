"""The plan: which route answers for which part of an image, and what that costs.

A plan minimises, over all ways to cut the image into rectangles of whole cells by straight cuts
(guillotine partitions) and to give each rectangle one route,

    Σ expected error / expected error of the deepest route  +  λ · Σ time / time of the deepest

where a rectangle's time includes its halo. So a lone cheap cell inside dear ones is simply run
by the dear expert when that costs less than the two borders, and an image that is dear
everywhere becomes one rectangle: a plain run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.bundle import Effort, Manifest
from mmsr_core.runtime.tiles import Box, Grid

Array = npt.NDArray[np.float64]

BLOCK = 16
"""Cells a side that are planned together: it bounds a region's memory, and the planner's time."""
OVERHEAD = 64.0
"""What starting one region costs, in pixels of the deepest route."""
FORBIDDEN = 1e9
FRUGAL = 0.25
"""dB that effort 0 may lose on the router split: cheaper than that is not sensible."""


@dataclass(frozen=True)
class Costs:
    """What a plan is charged for: the routes' times per LR pixel, relative to the deepest's, and
    the pixels of context that every region computes and throws away."""

    routes: tuple[float, ...]
    halo: int
    reference: int | None = None
    """The route that losses are counted from, where that isn't the dearest."""

    @classmethod
    def of(cls, experts: Sequence[Sequence[float]], halo: int) -> Self:
        """From the times of every route's experts. Losses count from the deepest expert's route:
        a fused route may cost more and yet be no better, having only shallower ones."""
        deepest = max(range(len(experts)), key=lambda r: (max(experts[r]), -sum(experts[r])))
        return cls(tuple(map(sum, experts)), halo, deepest)

    @property
    def deepest(self) -> int:
        """Index of the route that a plain upscaler would run everywhere."""
        return int(np.argmax(self.routes)) if self.reference is None else self.reference


@dataclass(frozen=True)
class Region:
    """A rectangle of whole cells that one route answers for."""

    box: Box
    route: int


@dataclass(frozen=True)
class Plan:
    """The regions of one image; `routes` (rows,columns) is the route of every cell."""

    grid: Grid
    regions: tuple[Region, ...]
    routes: npt.NDArray[np.intp]
    costs: Costs

    def pixels(self) -> Array:
        """LR pixels that each route computes, halo included."""
        total = np.zeros(len(self.costs.routes))
        for region in self.regions:
            window = region.box.grown(self.costs.halo, self.grid.height, self.grid.width)
            total[region.route] += window.area
        return total

    @property
    def cost(self) -> float:
        """Expected time over that of the deepest route on the whole image, halo included."""
        area = self.grid.height * self.grid.width
        return float(self.pixels() @ np.array(self.costs.routes) / area)


def penalties(
    scores: Array, output: str, effort: float, costs: Costs, areas: Array | None = None
) -> Array:
    """What each route loses on each cell, (cells, routes), from the router's answer.

    Errors become shares of the image's expected error under the deepest route, so that one λ
    trades the same dB for the same time on a dark and on a bright photograph. Probabilities pick
    the first class, in the recipe's order, whose cumulative probability exceeds `effort`; later
    and dearer routes are as good. Effort 1 is the deepest route everywhere. `areas` (cells,) in
    pixels make the errors of cells that the image's border cuts short count for less.
    """
    if effort >= 1:
        losses = np.full(scores.shape, FORBIDDEN)
        losses[:, costs.deepest] = 0
        return losses
    if output == "errors":
        if areas is not None:
            scores = scores * areas[:, None]
        share: Array = scores / max(1e-12, float(scores[:, costs.deepest].sum()))
        return share
    reached = np.cumsum(scores, axis=1) > effort
    reached[:, -1] = True
    picked = reached.argmax(axis=1)
    times = np.array(costs.routes)
    later = np.arange(len(times))[None, :] > picked[:, None]
    enough = later & (times[None, :] > times[picked][:, None])
    enough[np.arange(len(picked)), picked] = True
    return np.where(enough, 0.0, FORBIDDEN)


def price(effort: float, knob: Effort) -> float:
    """λ for an effort, between the calibrated points; 1 where nothing was to calibrate."""
    if not knob.prices:
        return 1.0
    efforts, prices = np.array(knob.prices).T
    return float(np.interp(effort, efforts, prices))


def make_plan(losses: Array, grid: Grid, costs: Costs, price: float, block: int = BLOCK) -> Plan:
    """The best plan for `losses` (cells, routes), row by row, at λ = `price`.

    No region crosses the border of a block of so many cells a side.
    """
    price = max(price, 1e-6)  # even free time is not wasted: ties go to fewer borders
    shaped = losses.reshape(grid.rows, grid.columns, -1)
    routes = np.empty((grid.rows, grid.columns), np.intp)
    regions: list[Region] = []
    for top, left in product(range(0, grid.rows, block), range(0, grid.columns, block)):
        cells = shaped[top : top + block, left : left + block]
        for rows, columns, route in _partition(cells, grid, (top, left), costs, price):
            regions.append(Region(grid.box(rows, columns), route))
            routes[rows, columns] = route
    return Plan(grid, tuple(regions), routes, costs)


def uniform_plan(grid: Grid, costs: Costs, route: int, block: int = BLOCK) -> Plan:
    """One route everywhere, cut only as far as memory asks for."""
    losses = np.full((grid.rows * grid.columns, len(costs.routes)), FORBIDDEN)
    losses[:, route] = 0
    return make_plan(losses, grid, costs, 1.0, block)


Rectangle = tuple[slice, slice, int]


def _partition(
    losses: Array, grid: Grid, origin: tuple[int, int], costs: Costs, price: float
) -> list[Rectangle]:
    """The cheapest guillotine partition of one block, by dynamic programming over its rectangles.

    `best[h, w, i, j]` is the least value of the h×w rectangle at (i, j); `by_bottom` and
    `by_right` hold the same indexed by the far edge, so that all cuts of all positions of one
    size are two array operations.
    """
    rows, columns, n = losses.shape
    table = np.zeros((rows + 1, columns + 1, n))
    table[1:, 1:] = losses.cumsum(0).cumsum(1)
    area = grid.height * grid.width
    heights = _spans(rows, origin[0], grid.cell, grid.height, costs.halo)
    widths = _spans(columns, origin[1], grid.cell, grid.width, costs.halo)
    rates = price * np.array(costs.routes) / area
    start = price * OVERHEAD / area
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
    return _read(choice, n, rows, columns, origin)


def _spans(count: int, first: int, cell: int, length: int, halo: int) -> Array:
    """(size, position) → pixels that `size` cells from `position` on span, halo included."""
    edges = np.minimum((first + np.arange(count + 1)) * cell, length)
    low, high = np.maximum(edges - halo, 0), np.minimum(edges + halo, length)
    spans = np.zeros((count + 1, count + 1))
    for size in range(1, count + 1):
        spans[size, : count - size + 1] = high[size:] - low[: count - size + 1]
    return spans


def _take(
    cut: Array, code: int, value: Array, chosen: npt.NDArray[np.intp]
) -> tuple[Array, npt.NDArray[np.intp]]:
    where = cut.argmin(0)
    least = np.take_along_axis(cut, where[None], 0)[0]
    better = least < value
    return np.where(better, least, value), np.where(better, code + where, chosen)


def _read(
    choice: npt.NDArray[np.int16], n: int, rows: int, columns: int, origin: tuple[int, int]
) -> list[Rectangle]:
    top, left = origin
    found: list[Rectangle] = []
    todo = [(rows, columns, 0, 0)]
    while todo:
        h, w, i, j = todo.pop()
        code = int(choice[h, w, i, j])
        if code < n:
            found.append((slice(top + i, top + i + h), slice(left + j, left + j + w), code))
        elif code < n + rows:
            k = code - n + 1
            todo += [(h - k, w, i + k, j), (k, w, i, j)]
        else:
            k = code - n - rows + 1
            todo += [(h, w - k, i, j + k), (h, k, i, j)]
    return found


def costs_of(manifest: Manifest, halo: int) -> Costs:
    """The costs of a bundle's routes, in class order."""
    routes = [manifest.routes[label].experts for label in manifest.classes]
    return Costs.of([[manifest.expert(name).cost for name in names] for names in routes], halo)


def calibrate(
    predictions: Array,
    errors: Array,
    images: npt.NDArray[np.int64],
    shapes: Sequence[tuple[int, int]],
    costs: Costs,
    cell: int,
    output: str,
    tolerance: float,
) -> Effort:
    """Give the effort knob its meaning, from measured errors of whole photographs.

    `predictions` (n,r) or (n,c) and measured `errors` (n,r) of the cells, row by row, of the
    photographs `images` (n,) of LR sizes `shapes`. With expected errors: effort 0 is the λ that
    loses `FRUGAL` dB against the deepest route, 1 is the deepest route everywhere, and between
    them effort is linear in cost. The default is the cheapest that loses at most `tolerance` dB.
    """
    photos = [images == index for index in range(len(shapes))]
    grids = [Grid(height, width, cell) for height, width in shapes]
    pixels = np.array([grid.height * grid.width for grid in grids], np.float64)

    def measure(effort: float, price: float) -> tuple[float, float]:
        """Mean dB lost over the photographs, and cost over all their pixels."""
        losses, spent = [], []
        for mine, grid in zip(photos, grids, strict=True):
            wanted = penalties(predictions[mine], output, effort, costs, grid.areas)
            plan = make_plan(wanted, grid, costs, price)
            true = np.maximum(errors[mine], 1e-12)  # an empty sky has no error at all
            got = grid.areas @ true[np.arange(len(true)), plan.routes.ravel()]
            losses.append(10 * np.log10(got / (grid.areas @ true[:, costs.deepest])))
            spent.append(plan.cost)
        return float(np.mean(losses)), float(np.average(spent, weights=pixels))

    if output == "probs":
        knobs = np.linspace(0, 1, 21)
        measured = [measure(float(effort), 1.0) for effort in knobs]
        good = [e for e, (lost, _) in zip(knobs, measured, strict=True) if lost <= tolerance]
        return Effort(default=float(min(good, default=1.0)))
    prices = np.concatenate([np.geomspace(10, 1e-4, 41), [0.0]])
    lost, spent = np.array([measure(0.5, float(price)) for price in prices]).T
    spent = np.maximum.accumulate(spent)
    first = int(np.argmax(lost <= FRUGAL))
    span = max(1e-9, 1 - spent[first])
    efforts = np.clip((spent[first:] - spent[first]) / span, 0, 1)
    # Where time costs nothing the knob ends: there is no price between that and the deepest.
    efforts[-1], lost[-1] = 1.0, 0.0
    kept = np.concatenate([[True], np.diff(efforts) > 1e-6])
    points = list(zip(efforts[kept].tolist(), prices[first:][kept].tolist(), strict=True))
    good = efforts[kept & (lost[first:] <= tolerance)]
    default = float(good[0]) if len(good) else 1.0
    return Effort(default=default, prices=tuple(points))
