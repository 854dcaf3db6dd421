"""The pipeline: images and their plans in, finished rows out."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.experts import Experts
from mmsr_core.runtime.jobs import BUCKET, Band, Job, batches, waves, window_of
from mmsr_core.runtime.plan import Plan
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.tiles import Canvas, Floats

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


@dataclass
class Work:
    """An image, its plan, and the part of its answer that is under construction."""

    image: Floats
    plan: Plan
    canvas: Canvas
    bands: list[Band]


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

    def run(
        self, works: Sequence[Work], memory: int, clock: Clock, progress: Progress
    ) -> Iterator[tuple[int, Floats]]:
        """The rows (3,n,s·w) of several images, each with the image's index, as they finish."""
        total = sum(work.plan.cost * work.plan.grid.height * work.plan.grid.width for work in works)
        done = 0.0
        for wave in waves([work.bands for work in works], self.wave_pixels(memory)):
            jobs = [job for index, band in wave for job in self._jobs(index, works[index], band)]
            for spent in self._answer(jobs, works, clock):
                done += spent
                progress(min(1.0, done / total))
            for index, band in wave:
                for slab in works[index].canvas.take(band.bottom):
                    yield index, slab

    def _jobs(self, index: int, work: Work, band: Band) -> Iterator[Job]:
        multiple = BUCKET if self.device.is_gpu else 1
        height, width = work.image.shape[:2]
        for region in band.regions:
            window, *shape = window_of(region.box, work.plan.costs.halo, height, width, multiple)
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
                    tiles = np.stack([job.tile(works[job.image].image) for job in batch])
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
