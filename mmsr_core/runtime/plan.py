"""The plan: which route answers for which part of an image, and what that costs.

A plan minimises, over all ways to cut the image into rectangles of whole cells by straight cuts
(guillotine partitions) and to give each rectangle one route,

    Σ expected error / expected error of the deepest route  +  λ · Σ time / time of the deepest

where a rectangle's time includes its halo. So a lone cheap cell inside dear ones is simply run
by the dear expert when that costs less than the two borders, and an image that is dear
everywhere becomes one rectangle: a plain run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.bundle import Effort, Manifest
from mmsr_core.runtime.partition import Array as Array
from mmsr_core.runtime.partition import partition
from mmsr_core.runtime.tiles import Box, Grid

Bools = npt.NDArray[np.bool_]

OVERHEAD = 64.0
"""What starting one region costs, in pixels of the deepest route."""
FORBIDDEN = 1e9
FRUGAL = 0.25
"""dB that effort 0 may lose on the router split: cheaper than that is not sensible."""


@dataclass(frozen=True)
class Block:
    """Cells that are planned together: it bounds a region's memory, and the planner's time."""

    rows: int
    columns: int


BLOCK = Block(16, 16)


@dataclass(frozen=True)
class Costs:
    """What a plan is charged for: the routes' times per LR pixel, relative to the deepest's, and
    the pixels of context that every region computes and throws away."""

    routes: tuple[float, ...]
    halo: int
    reference: int | None = None
    """The route that losses are counted from, where that isn't the dearest."""
    reuse: bool = False
    """Whether the last route takes over an answer that is there already."""
    router: float = 0.0
    """Time per LR pixel of the router that made the plan; it changes no plan, all pay it alike."""

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

    def with_reuse(self) -> Self:
        """The same with one more route, which costs nothing: to keep an answer that is there."""
        return replace(self, routes=(*self.routes, 0.0), reference=self.deepest, reuse=True)


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
    def work(self) -> float:
        """Expected time of the experts, in that of the deepest route for one LR pixel."""
        return float(self.pixels() @ np.array(self.costs.routes))

    @property
    def cost(self) -> float:
        """Expected time over that of the deepest route on the whole image, halo and router
        included."""
        return self.work / (self.grid.height * self.grid.width) + self.costs.router

    @property
    def kept(self) -> int | None:
        """The route that keeps an answer that is there already, where this plan has one."""
        return len(self.costs.routes) - 1 if self.costs.reuse else None

    @property
    def reused(self) -> Bools:
        """The cells (rows,columns) that keep such an answer."""
        return np.equal(self.routes, -1 if self.kept is None else self.kept)


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
        return only(costs.deepest, len(scores), costs)
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


def make_plan(
    losses: Array,
    grid: Grid,
    costs: Costs,
    price: float,
    block: Block = BLOCK,
    settled: Bools | None = None,
    watch: Callable[[], None] = lambda: None,
) -> Plan:
    """The best plan for `losses` (cells, routes), row by row, at λ = `price`.

    No region crosses the border of a block. `settled` (rows,columns) are cells whose answer is
    there already: they have one more route, which costs nothing and loses nothing. `watch` is
    called before every block, so that whoever wants to stop can.
    """
    price = max(price, 1e-6)  # even free time is not wasted: ties go to fewer borders
    if settled is not None:
        kept = np.where(settled.reshape(-1, 1), 0.0, FORBIDDEN)
        losses, costs = np.concatenate([losses, kept], axis=1), costs.with_reuse()
    shaped = losses.reshape(grid.rows, grid.columns, -1)
    routes = np.empty((grid.rows, grid.columns), np.intp)
    regions: list[Region] = []
    area = grid.height * grid.width
    rates, start = price * np.array(costs.routes) / area, price * OVERHEAD / area
    tops, lefts = range(0, grid.rows, block.rows), range(0, grid.columns, block.columns)
    for top, left in product(tops, lefts):
        watch()
        cells = shaped[top : top + block.rows, left : left + block.columns]
        heights = _spans(cells.shape[0], top, grid.cell, grid.height, costs.halo)
        widths = _spans(cells.shape[1], left, grid.cell, grid.width, costs.halo)
        for inner, route in partition(cells, heights, widths, rates, start):
            rows = slice(top + inner.top, top + inner.bottom)
            columns = slice(left + inner.left, left + inner.right)
            regions.append(Region(grid.box(rows, columns), route))
            routes[rows, columns] = route
    return Plan(grid, tuple(regions), routes, costs)


def _spans(count: int, first: int, cell: int, length: int, halo: int) -> Array:
    """(size, position) → pixels that `size` cells from `position` on span, halo included."""
    edges = np.minimum((first + np.arange(count + 1)) * cell, length)
    low, high = np.maximum(edges - halo, 0), np.minimum(edges + halo, length)
    spans = np.zeros((count + 1, count + 1))
    for size in range(1, count + 1):
        spans[size, : count - size + 1] = high[size:] - low[: count - size + 1]
    return spans


def only(route: int, cells: int, costs: Costs) -> Array:
    """Losses (cells, routes) that leave no choice but one route."""
    losses = np.full((cells, len(costs.routes)), FORBIDDEN)
    losses[:, route] = 0
    return losses


def costs_of(manifest: Manifest, halo: int) -> Costs:
    """The costs of a bundle's routes, in class order, and of its router."""
    routes = [manifest.routes[label].experts for label in manifest.classes]
    times = [[manifest.expert(name).cost for name in names] for names in routes]
    return replace(Costs.of(times, halo), router=manifest.router.cost)


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
