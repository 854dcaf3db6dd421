"""The intake: requests become jobs, and wait for their ends."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated

from fastapi import Form, Request, UploadFile
from starlette.concurrency import run_in_threadpool

from mmsr_core.errors import ImageError
from mmsr_core.runtime.memory import Budget
from mmsr_core.runtime.sizes import Size
from mmsr_core.serve.foresight import Foresight
from mmsr_core.serve.models import Models
from mmsr_core.serve.order import Form as Format
from mmsr_core.serve.order import Order, Parcel, receive, target_of
from mmsr_core.serve.problem import Problem
from mmsr_core.serve.queue import Job, Queue, Work
from mmsr_core.serve.settings import Limits
from mmsr_core.serve.upscaling import Upscaling

Model = Annotated[str | None, Form(description="A model's name; by default the server's first.")]
Share = Annotated[
    float | None,
    Form(ge=0, le=1, description="Time against quality; by default the model's own balance."),
]
Side = Annotated[int | None, Form(ge=1, le=2**20, description="Pixels of the answer.")]


async def order(
    request: Request,
    model: Model = None,
    effort: Share = None,
    format: Annotated[
        Format | None, Form(description="Of the answer; by default the picture's own.")
    ] = None,
    quality: Annotated[int | None, Form(ge=1, le=100, description="Of lossy formats.")] = None,
    scale: Annotated[float | None, Form(ge=1, le=64, description="By default the model's.")] = None,
    width: Side = None,
    height: Side = None,
    map: Annotated[bool, Form(description="Whether to paint a route map, too.")] = False,
) -> Order:
    """What the form asks for. Problem 422 for a field that doesn't exist or doesn't fit."""
    await refuse_others(request, FIELDS)
    try:
        size = Size(factor=scale, width=width, height=height)
    except ImageError as error:
        raise Problem(422, str(error)) from None
    return Order(model, effort, size, format, quality, map)


FIELDS = ("image", *(name for name in signature(order).parameters if name != "request"))


async def refuse_others(request: Request, known: Sequence[str]) -> None:
    """Problem 422 for a field of the form that nobody would look at."""
    for field in await request.form():
        if field not in known:
            raise Problem(422, f'no field "{field[:80]}"; there are {", ".join(known)}')


@dataclass(frozen=True)
class Intake:
    """Where requests are taken."""

    models: Models
    queue: Queue
    limits: Limits
    budget: Budget
    home: Path
    """Where pictures are kept while they are here."""
    batch: int | None = None
    """LR pixels that small pictures fill together; by default what the device gains by."""

    async def upscaling(self, image: UploadFile, order: Order, lasting: bool) -> Job:
        """A job that upscales; Problem when it can't be."""

        def work(parcel: Parcel) -> Work:
            served = self.models.open(order.model)
            size = target_of(order, parcel, served, self.limits)
            most = served.engine.device.batch_pixels if self.batch is None else self.batch
            return Upscaling(order, parcel, served, size, self.budget, most)

        return await self._submit(image, order.model, work, lasting)

    async def foresight(self, image: UploadFile, model: str | None, form: Format | None) -> Job:
        """A job that plans; Problem when it can't be."""

        def work(parcel: Parcel) -> Work:
            return Foresight(parcel, parcel.suffix(form), self.models.open(model), self.budget)

        return await self._submit(image, model, work, False)

    async def _submit(
        self, image: UploadFile, model: str | None, make: Callable[[Parcel], Work], lasting: bool
    ) -> Job:
        self.queue.check_room()
        self.models.manifest(model)
        loop = asyncio.get_running_loop()

        def take() -> Job:
            parcel = receive(image.file, image.filename, self.limits, self.home)
            try:
                job = Job(make(parcel), loop, lasting=lasting)
                self.queue.submit(job)
            except BaseException:
                parcel.drop()
                raise
            return job

        return await run_in_threadpool(take)


async def finished(request: Request, job: Job, queue: Queue) -> None:
    """Wait for a job to end well; Problem when it doesn't, or when its client leaves."""
    ended = asyncio.create_task(job.ended.wait())
    left = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        queue.drop(job)
        raise
    finally:
        ended.cancel()
        left.cancel()
    if not job.ended.is_set():
        queue.drop(job)
        raise Problem(499, "the client left")
    if job.problem is not None:
        raise job.problem
    if job.status != "done":
        raise Problem(503, "the server is about to end; ask again", {"Retry-After": "10"})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
