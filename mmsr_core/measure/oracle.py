"""The oracle: the plans that a router would make if it knew every error.

No router can do better with these experts, cells and costs, so a router is scored by the share
of the oracle's saving that it keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.plan import Array, Costs, Plan, make_plan, penalties
from mmsr_core.runtime.tiles import Grid

FLOOR = 1e-10
"""The mean squared error, in [0,1]² units, of a PSNR of 100 dB: what is smaller is not seen."""
DEAR, CHEAP = 1e-4, 10.0
"""The λ at the two ends of a frontier."""
STEPS = 10
FINE = 2
"""A frontier has so many points where a search takes one step."""
BISECTIONS = 6
WORTH = 0.005
"""A saving smaller than this share of the time is none."""


@dataclass(frozen=True)
class Scene:
    """One image: its grid, and what every route's answer loses on every cell.

    `errors` (cells, routes), row by row: the part of the image's mean squared error, in [0,1]²
    units, that lies in the cell. A column sums to the error of that route on the whole image.
    """

    grid: Grid
    errors: Array

    @property
    def means(self) -> Array:
        """`errors` as a router tells them: the mean over each cell's pixels, up to a factor."""
        return np.asarray(self.errors / self.grid.areas[:, None])


@dataclass(frozen=True)
class Point:
    """How plans fare on scenes, against the dearest route everywhere.

    `lost` is in dB, the mean over the scenes, negative where the plans are better; `cost` is the
    share of its time that they take over all their pixels, halo included.
    """

    lost: float
    cost: float
    plans: tuple[Plan, ...] = field(default=(), repr=False, compare=False)


Family = Callable[[float], Point]
"""Points by a knob in [0,1], dearer and better the larger it is."""


@dataclass(frozen=True)
class Oracle:
    """The routed plans, and the oracle's at the same cost and at the same quality."""

    routed: Point
    at_cost: Point
    at_quality: Point

    @property
    def kept(self) -> float | None:
        """The share of the oracle's saving, at equal quality, that the routed plans keep.

        None where the oracle saves nothing either. Below 0 for plans dearer than a plain run.
        """
        return kept(self.routed.cost, self.at_quality.cost)

    def as_json(self) -> dict[str, float | None]:
        """Plain data: the costs of the routed plans and of the oracle's, and what both lose."""
        return {
            "kept": self.kept,
            "cost": self.routed.cost,
            "lost": self.routed.lost,
            "cost_at_quality": self.at_quality.cost,
            "lost_at_cost": self.at_cost.lost,
        }


def kept(cost: float, oracle: float) -> float | None:
    """The share of the oracle's saving that a cost keeps; None where there is nothing to save."""
    return (1 - cost) / (1 - oracle) if 1 - oracle >= WORTH else None


def find_oracle(
    scenes: Sequence[Scene], plans: Sequence[Plan], family: Family | None = None
) -> Oracle:
    """The oracle beside `plans`, one for each scene and all of one bundle's costs.

    The oracle has one λ for all the scenes, as the router has. Where its frontier, which is
    convex, has no point as good as the plans themselves, these are the answer. `family` is what
    `perfect` made of the scenes and costs, for who asks more than once.
    """
    family = family or perfect(scenes, plans[0].costs)
    routed = judge(scenes, plans)
    before, _ = crossing(family, lambda point: point.cost > routed.cost)
    _, within = crossing(family, lambda point: point.lost <= routed.lost)
    at_cost = before if before is not None and before.lost < routed.lost else routed
    at_quality = within if within is not None and within.cost < routed.cost else routed
    return Oracle(routed, at_cost, at_quality)


def perfect(scenes: Sequence[Scene], costs: Costs) -> Family:
    """The plans of a router that knows every error and takes no time, by knob; each is worked out
    once."""
    truth, costs = [scene.means for scene in scenes], replace(costs, router=0.0)

    @cache
    def point(knob: float) -> Point:
        return route(scenes, truth, "errors", knob, costs)

    return point


def frontier(family: Family) -> tuple[Point, ...]:
    """The family's members by rising cost, without those that a cheaper one is as good as."""
    points = [family(float(knob)) for knob in np.linspace(0, 1, FINE * STEPS + 1)]
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, point.lost)):
        if not best or point.lost < best[-1].lost:
            best.append(point)
    return tuple(best)


def route(
    scenes: Sequence[Scene], scores: Sequence[Array], output: str, knob: float, costs: Costs
) -> Point:
    """How a router fares whose answer on each scene is `scores` (cells, routes or classes).

    `knob` in [0,1] goes from the cheapest plans to the dearest route everywhere: expected errors
    are planned at λ from `CHEAP` to `DEAR`, probabilities with the knob as effort.
    """
    price = CHEAP * (DEAR / CHEAP) ** knob if output == "errors" else 1.0
    plans = [
        make_plan(penalties(score, output, knob, costs, scene.grid.areas), scene.grid, costs, price)
        for scene, score in zip(scenes, scores, strict=True)
    ]
    return judge(scenes, plans)


def judge(scenes: Sequence[Scene], plans: Sequence[Plan]) -> Point:
    """What `plans`, one for each scene, lose and cost.

    Every cell counts as its route's answer on the whole image: the width of a halo and the
    cross-fades between regions are left out.
    """
    lost, pixels, spent = [], [], []
    for scene, plan in zip(scenes, plans, strict=True):
        dearest = np.full_like(plan.routes, plan.costs.deepest)
        lost.append(psnr(scene, dearest) - psnr(scene, plan.routes))
        pixels.append(scene.grid.height * scene.grid.width)
        spent.append(plan.cost / plan.costs.routes[plan.costs.deepest])
    return Point(float(np.mean(lost)), float(np.average(spent, weights=pixels)), tuple(plans))


def psnr(scene: Scene, routes: npt.NDArray[np.intp]) -> float:
    """PSNR in dB, at most 100, of a scene whose cells are answered by `routes` (rows,columns)."""
    error = scene.errors[np.arange(len(scene.errors)), routes.ravel()].sum()
    return float(-10 * np.log10(max(FLOOR, error)))


def crossing(family: Family, reached: Callable[[Point], bool]) -> tuple[Point | None, Point | None]:
    """The points of a family just before and just after its cheapest member that `reached` holds.

    None for a side that is empty: nothing lies before the first member, and the last may still
    not have reached.
    """
    low, high = 0.0, 0.0
    before: Point | None = None
    for knob in np.linspace(0, 1, STEPS + 1):
        after, high = family(float(knob)), float(knob)
        if reached(after):
            break
        before, low = after, high
    else:
        return before, None
    for _ in range(BISECTIONS if before is not None else 0):
        middle = (low + high) / 2
        point = family(middle)
        if reached(point):
            after, high = point, middle
        else:
            before, low = point, middle
    return before, after


def cell_sums(values: npt.NDArray[np.floating], step: int) -> npt.NDArray[np.float64]:
    """Sums of `values` (h,w) over squares of `step` pixels, row by row; the last may be short."""
    height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, step), axis=0, dtype=np.float64)
    return np.asarray(np.add.reduceat(rows, np.arange(0, width, step), axis=1).ravel())
