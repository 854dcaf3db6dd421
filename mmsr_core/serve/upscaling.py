"""A picture that is upscaled, from file to file; small ones together, in the engine's batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmsr_core.api.given import opened
from mmsr_core.api.result import Result
from mmsr_core.errors import ImageError, MmsrError, OutOfMemory
from mmsr_core.runtime.files import Settings, Task, upscale_file
from mmsr_core.runtime.memory import Budget
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.serve.models import Served
from mmsr_core.serve.order import Order, Parcel
from mmsr_core.serve.problem import Problem
from mmsr_core.serve.queue import Work


@dataclass(eq=False)
class Upscaling:
    """One order at work; its answer lies at `target`, and how it went in `facts`."""

    order: Order
    parcel: Parcel
    served: Served
    size: tuple[int, int]
    """Height and width of the answer."""
    budget: Budget
    most: int
    """LR pixels that fill one of the engine's batches: 0 where batches gain nothing."""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The answer's."""
        return self.parcel.suffix(self.order.form)

    @property
    def target(self) -> Path:
        """Where the answer is, once it is done."""
        return self.parcel.folder / f"answer{self.suffix}"

    @property
    def map(self) -> Path:
        """Where the painted route map is, if it was asked for."""
        return self.parcel.folder / "map.png"

    @property
    def name(self) -> str:
        """What the answer is called."""
        return self.parcel.named(self.size[0] / self.parcel.header.height, self.suffix)

    @property
    def pixels(self) -> int:
        """Of the source."""
        return self.parcel.header.height * self.parcel.header.width

    @property
    def seconds(self) -> float:
        """How long it is expected to take, not knowing its plan: as if half of it were deep."""
        return self.served.pace.seconds(self.suffix, self.pixels / 2, self.size[0] * self.size[1])

    def joins(self, group: Sequence[Work]) -> bool:
        """Whether its tiles may form batches with those of others."""
        together = [one for one in (*group, self) if isinstance(one, Upscaling)]
        if len(together) == len(group):
            return False
        orders = {(one.served.engine, one.order.effort, one._alone) for one in together}
        fits = sum(one.pixels for one in together) <= self.most
        return fits and len(orders) == 1 and not self._alone

    @property
    def _alone(self) -> bool:
        """Whether it needs more than the engine itself gives."""
        return self.parcel.header.alpha or self.order.map or not self.order.size.plain

    def run(self, group: Sequence[Work], progress: Progress) -> None:
        """Do it, with the others of its group.

        Problem 422 when a picture is damaged, 503 when there is too little memory for it, 500 when
        the model fails.
        """
        try:
            if len(group) == 1:
                self._upscale(progress)
            else:
                together = [one for one in group if isinstance(one, Upscaling)]
                _upscale_together(together, progress)
        except MmsrError as error:
            status = 422 if isinstance(error, ImageError) else 500
            status = 503 if isinstance(error, OutOfMemory) else status
            raise Problem(status, f"{self.parcel.name}: {self.parcel.said(error)}") from None

    def drop(self) -> None:
        """Remove its files."""
        self.parcel.drop()

    def _upscale(self, progress: Progress) -> None:
        task = Task(self.parcel.source, self.target, self.map if self.order.map else None)
        room, order = self.budget.total, self.order
        settings = Settings(order.effort, None, room, 1, order.quality)
        upscaler = self.served.sized(order.size)
        self.facts = upscale_file(upscaler, task, settings, self.budget, progress)
        if order.size.plain:
            work, pixels = self.facts["cost"] * self.pixels, self.size[0] * self.size[1]
            self.served.pace.learn(self.suffix, work, pixels, self.facts["stages"])


def _upscale_together(group: Sequence[Upscaling], progress: Progress) -> None:
    """Upscale pictures whose tiles form batches across all of them."""
    first = group[0]
    engine, budget = first.served.engine, first.budget
    given = [opened(one.parcel.source) for one in group]
    made = sum(one.size[0] * one.size[1] for one in group)
    room = budget.total // 2
    held = 16 * (made + sum(one.pixels for one in group))
    with budget.part(min(budget.total, held + room), lambda: progress(0.0)):
        answers = engine.upscale_all(
            [one.colour for one in given], first.order.effort, None, progress, room
        )
    for one, source, answer in zip(group, given, answers, strict=True):
        height, width = one.size
        header = replace(source.header, height=height, width=width)
        result = Result(answer.pixels, None, header, answer.plan, answer.seconds, answer.macs)
        result.save(one.target, one.order.quality)
        classes = engine.manifest.classes
        one.facts = {
            "size": [one.parcel.header.width, one.parcel.header.height],
            "upscaled": [width, height],
            "pages": source.header.frames,
            "seconds": round(sum(answer.seconds.values()), 4),
            "classes": {
                label: float((answer.plan.routes == r).mean()) for r, label in enumerate(classes)
            },
            "regions": len(answer.plan.regions),
            "cost": round(answer.plan.cost, 4),
            "macs": answer.macs,
        }
