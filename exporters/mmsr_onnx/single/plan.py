"""The plan inside a graph: the rules of `mmsr_core.runtime.plan`, as nodes.

Numbers are float64, as there, so that both choose the same route. The engine's regions are
rectangles that any straight cuts leave; here they are squares of 1, 2, 4 or 16 cells a side, each
split into smaller ones where that is worth its halo: a choice that needs no loop.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.bundle import Effort
from mmsr_core.runtime.plan import FORBIDDEN, OVERHEAD, Costs
from mmsr_onnx.single.circuit import Circuit, Wire

SIDES = (1, 2, 4, 16)
"""Sides of the squares, in cells. With 8 as well plans of photographs cost 1 % less: no gain."""


@dataclass(frozen=True)
class Squares:
    """The squares of one side that the plan uses."""

    side: int
    """Cells."""
    rows: Wire
    columns: Wire
    chosen: Wire
    """(n,rows,columns) bool: whether the square is a region."""
    route: Wire
    """(n,rows,columns) int64: the route that would answer for it."""


def losses(
    scores: Wire, output: str, effort: Wire, costs: Costs, areas: Wire | None = None
) -> Wire:
    """What each route loses on each cell, float64, of the shape of `scores`; see `plan.penalties`.

    `scores` (n,rows,columns,routes) are those of n photographs, `effort` (n,1,1,1) is float64, and
    so are `areas` (rows,columns,1); None where all are the same.
    """
    circuit, times = scores.circuit, np.array(costs.routes)
    scores = scores.cast("float64")
    if output == "errors":
        if areas is not None:
            scores = scores * areas
        deepest = scores.take(circuit.constant(np.array(costs.deepest)), 3)
        answer = scores / deepest.sum(1, 2).at_least(1e-12).reshape(-1, 1, 1, 1)
    else:
        index = circuit.constant(np.arange(len(times)))
        last = index.equals(np.array(len(times) - 1))
        picked = ((scores.cumulated(3) > effort) | last).first_true(3).reshape(0, 0, 0, 1)
        table = circuit.constant(times)
        dearer = (index > picked) & (table > table.take(picked, 0))
        enough = dearer | index.equals(picked)
        answer = enough.where(_scalar(circuit, 0.0), FORBIDDEN)
    everywhere = np.where(np.arange(len(times)) == costs.deepest, 0.0, FORBIDDEN)
    return (effort >= 1.0).where(circuit.constant(everywhere), answer)


def price(effort: Wire, knob: Effort) -> Wire:
    """λ for each effort (n,1,1,1), float64, of a shape that broadcasts to it; see `plan.price`."""
    points: npt.NDArray[np.float64] = np.array(knob.prices or [(0.0, 1.0)])
    efforts, prices = points.T
    widths: npt.NDArray[np.float64] = np.diff(efforts)
    kept = widths > 0
    if not kept.any():
        return _scalar(effort.circuit, max(float(prices[0]), 1e-6))
    slopes = effort.circuit.constant(np.diff(prices)[kept] / widths[kept])
    starts: npt.NDArray[np.float64] = efforts[:-1][kept]
    walked = (effort - starts).at_least(0.0).at_most(widths[kept])
    return ((walked * slopes).sum(3).reshape(-1, 1, 1, 1) + float(prices[0])).at_least(1e-6)


def best_routes(lost: Wire, charge: Wire, costs: Costs) -> Wire:
    """The best route of each cell alone, int64; `charge` is λ · its share of the area."""
    return (lost + charge * np.array(costs.routes)).first_least(3)


def plan_squares(
    lost: Wire, height: Wire, width: Wire, cell: int, costs: Costs, price: Wire
) -> list[Squares]:
    """The best plans of squares for `lost` (n,rows,columns,routes), the largest squares first.

    From below, a square is worth the best route for all of it, or the sum of its parts; from
    above, it is a region where no larger one is and its own route is worth no less.
    """
    area = (height * width).cast("float64")
    levels: list[_Level] = []
    for place, side in enumerate(SIDES):
        rows, columns = (_cells(length, side * cell) for length in (height, width))
        factor = side // SIDES[place - 1]
        if levels:
            lost = _merged(lost, rows, columns, factor, len(costs.routes))
        reach = side * cell + 2 * costs.halo
        pixels = (height.at_most(reach) * width.at_most(reach)).cast("float64")
        value = lost + (pixels * np.array(costs.routes) + OVERHEAD) * price / area
        route, least = value.first_least(3), value.least(3)
        stop = route >= 0
        if levels:
            parts = _merged(levels[-1].value, rows, columns, factor)
            stop, least = parts >= least, least.at_most(parts)
        levels.append(_Level(side, rows, columns, route, least, stop))
    top = levels[-1]
    found = [Squares(top.side, top.rows, top.columns, top.stop, top.route)]
    open_ = ~top.stop
    for above, level in zip(levels[:0:-1], levels[-2::-1], strict=True):
        open_ = spread(open_, above.side // level.side, level.rows, level.columns)
        chosen = open_ & level.stop
        found.append(Squares(level.side, level.rows, level.columns, chosen, level.route))
        open_ = open_ & ~level.stop
    return found


def spread(table: Wire, factor: int, rows: Wire, columns: Wire) -> Wire:
    """A table (n,r,c) as (n,rows,columns), each entry `factor` times down and across."""
    down, across = (table.circuit.count(length) // factor for length in (rows, columns))
    return table.take(down, 1).take(across, 2)


@dataclass(frozen=True)
class _Level:
    """All squares of one side; `value` (n,rows,columns) is what the best plan of each is worth."""

    side: int
    rows: Wire
    columns: Wire
    route: Wire
    value: Wire
    stop: Wire
    """Where the square in one piece is worth as much as any of its splits."""


def _merged(table: Wire, rows: Wire, columns: Wire, factor: int, *last: int) -> Wire:
    """Sums over factor×factor squares of a table (n,r,c,*last)."""
    short = [length * factor - table.size(axis) for axis, length in ((1, rows), (2, columns))]
    whole = table.padded(0, *short, *[0] * len(last))
    return whole.reshape(-1, rows, factor, columns, factor, *last).sum(2, 4)


def _cells(length: Wire, side: int) -> Wire:
    return (length + (side - 1)) // side


def _scalar(circuit: Circuit, value: float) -> Wire:
    return circuit.constant(np.array(value))
