"""What the oracle would have made of the images of an evaluation."""

import math
from collections.abc import Mapping

import numpy as np

from mmsr_core.measure.evaluate import ROUTED, Answer, expert_row
from mmsr_core.measure.evaluation import Evaluation, Row
from mmsr_core.measure.metrics import luma
from mmsr_core.measure.oracle import (
    Family,
    Oracle,
    Point,
    Scene,
    cell_sums,
    find_oracle,
    frontier,
    perfect,
    psnr,
)
from mmsr_core.runtime.engine import Engine, plan_macs
from mmsr_core.runtime.image import quantize
from mmsr_core.runtime.plan import Array, Plan
from mmsr_core.runtime.tiles import Floats, Grid

ORACLE = "oracle"


class Hindsight:
    """Watches an evaluation and keeps, of every image, what each route loses on each cell."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.scenes: list[Scene] = []
        self._plans: dict[str, list[Plan]] = {}
        self._family: Family | None = None

    def watch(self, lr: Floats, hr: Floats, answers: Mapping[str, Answer]) -> None:
        """Take note of one image of an evaluation."""
        plans = {name: way.result.plan for name, way in answers.items() if way.result is not None}
        self.note(hr, {name: answer.pixels for name, answer in answers.items()}, plans)

    def note(self, hr: Floats, answers: Mapping[str, Floats], plans: Mapping[str, Plan]) -> None:
        """Take note of one image: the experts' answers for the whole of it, and the routed plans,
        both by row."""
        manifest = self._engine.manifest
        grid = plans[ROUTED].grid
        columns = []
        for label in manifest.classes:
            names = manifest.routes[label].experts
            fuser = manifest.routes[label].fuser
            found = [answers[expert_row(name)] for name in names]
            answer = found[0] if fuser is None else self._engine.run_fuser(fuser, found)
            columns.append(cell_errors(answer, hr, manifest.scale, grid))
        self.scenes.append(Scene(grid, np.stack(columns, axis=1)))
        for row, plan in plans.items():
            self._plans.setdefault(row, []).append(plan)
        self._family = None

    def oracle(self, row: str = ROUTED) -> Oracle:
        """The oracle beside the plans of a routed row for all the images."""
        return find_oracle(self.scenes, self._plans[row], self._perfect())

    def frontier(self) -> tuple[Point, ...]:
        """The oracle's points for all the images, by rising cost."""
        return frontier(self._perfect())

    def reached(self, point: Point) -> float:
        """The Y-PSNR of a computed point, the mean over the images."""
        pairs = zip(self.scenes, point.plans, strict=True)
        return float(np.mean([psnr(scene, plan.routes) for scene, plan in pairs]))

    def time(self, point: Point) -> float:
        """The time of a computed point over that of the deepest expert on the whole images."""
        costs = point.plans[0].costs
        return point.cost * costs.routes[costs.deepest] / self._engine.manifest.deepest.cost

    def row(self, found: Evaluation, oracle: Oracle) -> Row:
        """The oracle at the routed plans' cost: a row that is computed, not run.

        It has Y-PSNR only, if that was measured; its time is the plans' cost in the deepest
        expert's measured seconds.
        """
        manifest = self._engine.manifest
        values = dict.fromkeys(found.better, math.nan)
        if "psnr_y" in values:
            values["psnr_y"] = self.reached(oracle.at_cost)
        seconds = found.row(found.deepest).seconds
        return Row(
            name=ORACLE,
            kind="computed",
            values=values,
            seconds=self.time(oracle.at_cost) * seconds,
            macs=sum(plan_macs(plan, manifest) for plan in oracle.at_cost.plans),
        )

    def _perfect(self) -> Family:
        if self._family is None:
            self._family = perfect(self.scenes, self._plans[ROUTED][0].costs)
        return self._family


def cell_errors(sr: Floats, hr: Floats, border: int, grid: Grid) -> Array:
    """What each cell of `grid` adds to the squared luma error that `psnr_y` takes the mean of.

    Both images rounded to 8 bits, `border` pixels shaved off every side, errors in [0,1]² units:
    the sum over the cells is 10^(−PSNR/10).
    """
    first, second = (luma(quantize(picture) / 255.0) / 255.0 for picture in (sr, hr))
    inside = np.zeros(first.shape)
    inside[border : first.shape[0] - border, border : first.shape[1] - border] = 1
    step = grid.cell * hr.shape[0] // grid.height
    return np.asarray(cell_sums((first - second) ** 2 * inside, step) / inside.sum())
