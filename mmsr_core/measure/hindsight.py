"""What the oracle would have made of the images of an evaluation."""

import math
from collections.abc import Mapping

import numpy as np

from mmsr_core.measure.evaluate import ROUTED, Answer, expert_row
from mmsr_core.measure.evaluation import Evaluation, Row
from mmsr_core.measure.metrics import luma
from mmsr_core.measure.oracle import Oracle, Scene, cell_sums, find_oracle, psnr
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
        self._plans: list[Plan] = []

    def watch(self, lr: Floats, hr: Floats, answers: Mapping[str, Answer]) -> None:
        """Take note of one image: the experts' answers for the whole of it, and the routed plan."""
        routed = answers[ROUTED].result
        assert routed is not None
        manifest = self._engine.manifest
        columns = []
        for label in manifest.classes:
            names = manifest.routes[label].experts
            fuser = manifest.routes[label].fuser
            found = [answers[expert_row(name)].pixels for name in names]
            answer = found[0] if fuser is None else self._engine.run_fuser(fuser, found)
            columns.append(cell_errors(answer, hr, manifest.scale, routed.plan.grid))
        self.scenes.append(Scene(routed.plan.grid, np.stack(columns, axis=1)))
        self._plans.append(routed.plan)

    def oracle(self) -> Oracle:
        """The oracle beside the routed plans of all the images watched."""
        return find_oracle(self.scenes, self._plans)

    def row(self, found: Evaluation, oracle: Oracle) -> Row:
        """The oracle at the routed plans' cost: a row that is computed, not run.

        It has Y-PSNR only, if that was measured; its time is the plans' cost in the deepest
        expert's measured seconds.
        """
        manifest = self._engine.manifest
        plans = oracle.at_cost.plans
        costs = plans[0].costs
        values = dict.fromkeys(found.better, math.nan)
        if "psnr_y" in values:
            reached = [
                psnr(scene, plan.routes) for scene, plan in zip(self.scenes, plans, strict=True)
            ]
            values["psnr_y"] = float(np.mean(reached))
        seconds = found.row(found.deepest).seconds
        return Row(
            name=ORACLE,
            kind="computed",
            values=values,
            seconds=oracle.at_cost.cost * costs.routes[costs.deepest] * seconds,
            macs=sum(plan_macs(plan, manifest) for plan in plans),
        )


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
