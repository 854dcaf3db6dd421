"""What upscaling a picture would take at every effort, and which route would answer where."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, Field

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.image import open_image
from mmsr_core.runtime.memory import Budget, largest_block
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.runtime.plan import Plan, make_plan, penalties, price
from mmsr_core.runtime.routemap import palette
from mmsr_core.serve.models import Served
from mmsr_core.serve.order import Parcel
from mmsr_core.serve.problem import Problem
from mmsr_core.serve.queue import Work

STEPS = 11
"""Efforts that are planned, from 0 to 1, beside the model's own."""
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
"""One for each class that a model may have."""


class ClassView(BaseModel):
    """One class of a model."""

    name: str
    cost: float = Field(description="Time per pixel of its route, relative to the deepest's.")
    colour: str = Field(description="What it is painted in, #rrggbb.")


class PlanView(BaseModel):
    """What one effort would take."""

    effort: float
    default: bool = Field(description="Whether it is the model's own balance.")
    cost: float = Field(description="Time, relative to the deepest expert on the whole picture.")
    seconds: float = Field(description="How long the picture is expected to be at work.")
    routes: list[str] = Field(
        description="The cells row by row, a digit each: the place of its class in `classes`, "
        f"as {DIGITS}."
    )


class PlansView(BaseModel):
    """The plans of a picture."""

    model: str
    size: tuple[int, int] = Field(description="Width and height of the picture.")
    upscaled: tuple[int, int] = Field(description="Width and height of the answer.")
    cell: int = Field(description="Side of a cell in the picture's pixels.")
    deepest: float = Field(description="Expected seconds of the deepest expert on the whole.")
    classes: list[ClassView]
    plans: list[PlanView]


@dataclass(eq=False)
class Foresight:
    """One picture that is planned, at all efforts; `view` when it is done."""

    parcel: Parcel
    suffix: str
    served: Served
    budget: Budget
    views: list[PlansView] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it is expected to take: a twentieth of the deepest's time."""
        area = self.parcel.header.height * self.parcel.header.width
        return self.served.pace.seconds(self.suffix, area / 20, 0.0)

    def joins(self, group: Sequence[Work]) -> bool:
        """Never: it has no tiles."""
        return False

    def run(self, group: Sequence[Work], progress: Progress) -> None:
        """Do it. Problem 422 when the picture is damaged."""
        try:
            self.views.append(self._foresee(progress))
        except MmsrError as error:
            raise Problem(422, f"{self.parcel.name}: {self.parcel.said(error)}") from None

    def drop(self) -> None:
        """Remove the picture."""
        self.parcel.drop()

    def _foresee(self, progress: Progress) -> PlansView:
        engine, pace = self.served.engine, self.served.pace
        manifest, knob = engine.manifest, engine.manifest.effort
        height, width = self.parcel.header.height, self.parcel.header.width
        picture = open_image(self.parcel.source)
        room = self.budget.total - picture.held
        need = engine.memory_needed(height, width, None, room)
        with self.budget.part(picture.held + need, lambda: progress(0.0)):
            asked = engine.bands(picture.colour, 0.0, None, progress, need)
            plain, scores = asked.plan, asked.scores
            block = largest_block(manifest, height, width, engine.halo(), need)
            efforts = sorted({*np.linspace(0, 1, STEPS).round(3).tolist(), knob.default})
            grid, costs = plain.grid, plain.costs

            def planned(effort: float) -> Plan:
                if scores is None:
                    return plain
                output = manifest.router.output
                losses = penalties(scores, output, effort, costs, grid.areas)
                rate = 1.0 if effort >= 1 else price(effort, knob)
                return make_plan(losses, grid, costs, rate, block, None, lambda: progress(0.0))

            plans = [(effort, planned(effort)) for effort in efforts]
        made = engine.target(height, width)

        def seconds(cost: float) -> float:
            return round(pace.seconds(self.suffix, cost * height * width, made[0] * made[1]), 3)

        return PlansView(
            model=manifest.name,
            size=(width, height),
            upscaled=(made[1], made[0]),
            cell=grid.cell,
            deepest=seconds(1.0),
            classes=_classes(self.served),
            plans=[
                PlanView(
                    effort=effort,
                    default=effort == knob.default,
                    cost=round(plan.cost, 4),
                    seconds=seconds(plan.cost),
                    routes=[
                        "".join(DIGITS[route] for route in row) for row in plan.routes.tolist()
                    ],
                )
                for effort, plan in plans
            ],
        )


def _classes(served: Served) -> list[ClassView]:
    manifest = served.engine.manifest
    colours = (palette(len(manifest.classes)) * 255).round().astype(int).tolist()
    return [
        ClassView(
            name=label,
            cost=round(manifest.route_cost(label), 4),
            colour="#" + "".join(f"{value:02x}" for value in colour),
        )
        for label, colour in zip(manifest.classes, colours, strict=True)
    ]
