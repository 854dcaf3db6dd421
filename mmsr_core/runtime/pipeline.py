"""The pipeline: images and their plans in, finished rows out."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.experts import Experts
from mmsr_core.runtime.jobs import BUCKET, Band, Job, batches, parts, waves, window_of
from mmsr_core.runtime.plan import Array, Plan
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.source import Window
from mmsr_core.runtime.tiles import Box, Canvas, Floats

Progress = Callable[[float], None]


class Clock:
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started

    def read(self, strips: Iterator[Floats]) -> Iterator[Floats]:
        """The strips of a source; making them is the stage "read"."""
        while True:
            with self.stage("read"):
                strip = next(strips, None)
            if strip is None:
                return
            yield strip


@dataclass(frozen=True)
class Request:
    """What somebody asks of an engine, beside the images; see `Engine.bands`."""

    effort: float
    overlap: int
    """LR pixels that neighbouring regions share, averaged or cross-faded."""
    average: bool
    halo: int
    memory: int
    progress: Progress
    clock: Clock = field(default_factory=Clock)


@dataclass
class Work:
    """An image on its way: the rows that are looked at, the plan, and the rows of the answer that
    are under construction."""

    window: Window
    plan: Plan
    canvas: Canvas
    bands: list[Band]
    scores: Array | None
    """What the router said, where it was asked."""


@dataclass(frozen=True)
class Pipeline:
    """What a bundle's plans run through: its experts and fusers, each in batches."""

    manifest: Manifest
    device: Device
    experts: Experts
    fusers: Mapping[str, Session]

    def wave_pixels(self, memory: int) -> int:
        """LR pixels worth computing before finished rows leave: enough for the device's batch."""
        return min(self.device.batch_pixels, memory // (24 * self.manifest.scale**2))

    def run(self, works: Sequence[Work], request: Request) -> Iterator[tuple[int, Floats]]:
        """The rows (3,n,s·w) of several images, each with the image's index, as they finish."""
        clock, pixels = request.clock, self.wave_pixels(request.memory)
        total = sum(work.plan.work for work in works)
        done = 0.0
        for wave in waves([work.bands for work in works], pixels):
            jobs = [job for index, band in wave for job in self._jobs(index, works[index], band)]
            with clock.stage("read"):
                _look(jobs, works)
            for part in parts(jobs, pixels) if self._fuses else [jobs]:
                for spent in self._answer(part, works, clock):
                    done += spent
                    request.progress(min(1.0, done / total))
            for index, band in wave:
                for slab in works[index].canvas.take(band.bottom):
                    yield index, slab

    @property
    def _fuses(self) -> bool:
        """Whether answers wait for others, and so have to be few."""
        return any(len(route.experts) > 1 for route in self.manifest.routes.values())

    def _jobs(self, index: int, work: Work, band: Band) -> Iterator[Job]:
        multiple = BUCKET if self.device.is_gpu else 1
        grid, halo = work.plan.grid, work.plan.costs.halo
        for region in band.regions:
            if region.route == work.plan.kept:
                continue
            window, *shape = window_of(region.box, halo, grid.height, grid.width, multiple)
            route = self.manifest.classes[region.route]
            yield Job(index, route, region.box, window, (shape[0], shape[1]))

    def _answer(self, jobs: Sequence[Job], works: Sequence[Work], clock: Clock) -> Iterator[float]:
        """Run jobs to their canvases, expert by expert; yields the cost of every batch."""
        queues: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            for name in self.manifest.routes[job.route].experts:
                queues[name].append(job)
        for name in sorted(queues, key=lambda name: self.manifest.expert(name).cost):
            for batch in batches(queues[name], self.device.batch_pixels):
                with clock.stage("experts"):
                    cuts = (works[job.image].window.cut(job.window) for job in batch)
                    tiles = np.stack([job.tile(cut) for job, cut in zip(batch, cuts, strict=True)])
                    answers = self.experts.run(name, tiles)
                for job, answer in zip(batch, answers, strict=True):
                    job.answers[name] = answer
                    self._deliver(job, works[job.image].canvas, clock)
                yield sum(job.window.area for job in batch) * self.manifest.expert(name).cost

    def _deliver(self, job: Job, canvas: Canvas, clock: Clock) -> None:
        """Fuse and stitch a region once all its experts have answered."""
        route = self.manifest.routes[job.route]
        if len(job.answers) < len(route.experts):
            return
        answer = job.answers[route.experts[0]]
        if route.fuser is not None:
            with clock.stage("fuse"):
                candidates = np.stack([job.answers[name] for name in route.experts])[None]
                fuser = self.fusers[route.fuser]
                answer = fuser.run(candidates, "fused", (1, *answer.shape))[0]
        job.answers.clear()
        with clock.stage("stitch"):
            canvas.add(job.box, answer, job.window)


def _look(jobs: Sequence[Job], works: Sequence[Work]) -> None:
    """Have the rows of every image that its jobs look at."""
    seen: dict[int, list[Box]] = defaultdict(list)
    for job in jobs:
        seen[job.image].append(job.window)
    for index, boxes in seen.items():
        top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
        # Later boxes begin further down, but the image's end may push their windows up.
        works[index].window.move(top - BUCKET, bottom)
