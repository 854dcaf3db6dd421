"""The engine: bundle + image → image. Route, run experts, fuse, stitch."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from mmsr_core.runtime.bundle import Bundle, Manifest
from mmsr_core.runtime.plan import Costs, Plan, costs_of, make_plan, penalties, price, uniform_plan
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.tiles import Box, Canvas, Floats, Grid

ROUTER_BATCH = 1024
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Result:
    """One upscaled image: `pixels` float32 (s·h,s·w,3) in [0,1], and how it came about."""

    pixels: Floats
    plan: Plan
    seconds: dict[str, float]
    """Time of the whole call by stage: route, plan, experts, fuse, stitch."""
    macs: float
    """Multiply-accumulates spent on this image, halo included."""


@dataclass
class _Job:
    """A region on its way through its route's experts; the buffer before a fusion is `answers`."""

    image: int
    route: str
    box: Box
    window: Box
    answers: dict[str, Floats] = field(default_factory=dict)


class Engine:
    """An opened bundle: one ONNX Runtime session per graph, on one device."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Open every graph of a verified bundle on `device`: auto, cpu, cuda or cuda:n."""
        manifest = self.manifest = bundle.manifest
        router = bundle.graph(manifest.router.graph)
        self.device = Device.choose(device, router)
        self._router = Session(router, self.device, f"{manifest.name}: router")
        self._experts = {
            expert.name: Session(bundle.graph(expert.graph), self.device, expert.name)
            for expert in manifest.experts
        }
        self._fusers = {
            name: Session(bundle.graph(fuser.graph), self.device, name)
            for name, fuser in manifest.fusers.items()
        }

    @classmethod
    def open(cls, directory: str | Path, device: str = "auto") -> Self:
        """Verify and open the bundle in `directory`."""
        return cls(Bundle.open(directory), device)

    def upscale(
        self,
        image: Floats,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Upscale one image, float32 RGB (h,w,3) in [0,1]. See `upscale_all`."""
        return self.upscale_all([image], effort, overlap, progress)[0]

    def upscale_all(
        self,
        images: Sequence[Floats],
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress | None = None,
    ) -> list[Result]:
        """Upscale images together: tiles of one expert form batches across all of them.

        `effort` in [0,1] trades time for quality (default: the bundle's). `overlap` in LR pixels,
        at most a cell, averages that much between regions as in the 2019 paper, in place of the
        bundle's narrow cross-fade. `progress` is told the share of the work that is done.
        """
        manifest = self.manifest
        width = 2 * manifest.tiles.seam if overlap is None else overlap
        if not 0 <= width <= manifest.tiles.cell:
            raise ValueError(f"overlap {width} is not within 0 and the cell, {manifest.tiles.cell}")
        chosen = manifest.effort.default if effort is None else effort
        if not 0 <= chosen <= 1:
            raise ValueError(f"effort {chosen} is not within 0 and 1")
        clock = _Clock()
        planar = [np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) for image in images]
        canvases, plans = [], []
        for image in planar:
            grid = Grid(image.shape[1], image.shape[2], manifest.tiles.cell)
            canvas = Canvas(grid, manifest.scale, width, average=overlap is not None)
            canvases.append(canvas)
            costs = costs_of(manifest, manifest.tiles.halo + canvas.margin)
            plans.append(self._plan(image, grid, costs, chosen, clock))
        self._run(planar, plans, canvases, clock, progress or (lambda share: None))
        with clock.stage("stitch"):
            pixels = [_interleaved(canvas.pixels) for canvas in canvases]
        return [
            Result(image, plan, dict(clock.seconds), plan_macs(plan, manifest))
            for image, plan in zip(pixels, plans, strict=True)
        ]

    def run_expert(self, name: str, image: Floats) -> Floats:
        """One expert on the whole image, untiled: what a plain upscaler does."""
        self.manifest.expert(name)
        tiles = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)[None]
        return _interleaved(self._upscale(name, tiles)[0])

    def run_fuser(self, name: str, answers: Sequence[Floats]) -> Floats:
        """One fuser on whole answers, (s·h,s·w,3) each, in the order of their route's experts."""
        candidates = np.stack([answer.transpose(2, 0, 1) for answer in answers])[None]
        shape = 1, *candidates.shape[2:]
        return _interleaved(self._fusers[name].run(candidates, "fused", shape)[0])

    def _upscale(self, name: str, tiles: Floats) -> Floats:
        n, channels, height, width = tiles.shape
        scale = self.manifest.scale
        shape = n, channels, height * scale, width * scale
        return self._experts[name].run(tiles, "upscaled", shape)

    def _plan(
        self, image: Floats, grid: Grid, costs: Costs, effort: float, clock: "_Clock"
    ) -> Plan:
        if effort >= 1 or len(costs.routes) == 1:  # no question for a router
            return uniform_plan(grid, costs, costs.deepest)
        router = self.manifest.router
        with clock.stage("route"):
            cells = grid.cells(image)
            cuts = range(ROUTER_BATCH, len(cells), ROUTER_BATCH)
            answers = [
                self._router.run(batch, router.output, (len(batch), len(costs.routes)))
                for batch in np.split(cells, cuts)
            ]
            scores = np.concatenate(answers).astype(np.float64)
        with clock.stage("plan"):
            losses = penalties(scores, router.output, effort, costs)
            return make_plan(losses, grid, costs, price(effort, self.manifest.effort))

    def _run(
        self,
        images: Sequence[Floats],
        plans: Sequence[Plan],
        canvases: Sequence[Canvas],
        clock: "_Clock",
        progress: Progress,
    ) -> None:
        manifest = self.manifest
        queues: dict[str, list[_Job]] = defaultdict(list)
        total = done = 0.0
        for index, plan in enumerate(plans):
            for region in plan.regions:
                window = region.box.grown(plan.costs.halo, plan.grid.height, plan.grid.width)
                route = manifest.classes[region.route]
                job = _Job(index, route, region.box, window)
                for name in manifest.routes[route].experts:
                    queues[name].append(job)
                    total += window.area * manifest.expert(name).cost
        for name in sorted(queues, key=lambda name: manifest.expert(name).cost):
            for batch in batches(queues[name], self.device.batch_pixels):
                tiles = np.stack([_cut(images[job.image], job.window) for job in batch])
                with clock.stage("experts"):
                    answers = self._upscale(name, tiles)
                for job, answer in zip(batch, answers, strict=True):
                    job.answers[name] = answer
                    self._deliver(job, canvases[job.image], clock)
                    done += job.window.area * manifest.expert(name).cost
                progress(done / total)

    def _deliver(self, job: _Job, canvas: Canvas, clock: "_Clock") -> None:
        """Fuse and stitch a region once all its experts have answered."""
        route = self.manifest.routes[job.route]
        if len(job.answers) < len(route.experts):
            return
        answer = job.answers[route.experts[0]]
        if route.fuser is not None:
            with clock.stage("fuse"):
                candidates = np.stack([job.answers[name] for name in route.experts])[None]
                fuser = self._fusers[route.fuser]
                answer = fuser.run(candidates, "fused", (1, *answer.shape))[0]
        job.answers.clear()
        with clock.stage("stitch"):
            canvas.add(job.box, answer, job.window)


def plan_macs(plan: Plan, manifest: Manifest) -> float:
    """Multiply-accumulates of a plan's experts, halo included."""
    total = 0.0
    for label, pixels in zip(manifest.classes, plan.pixels(), strict=True):
        names = manifest.routes[label].experts
        total += pixels * sum(manifest.expert(name).macs for name in names)
    return float(total)


def batches(jobs: Sequence[_Job], pixels: int) -> list[list[_Job]]:
    """Group jobs whose windows have one shape, up to so many pixels a batch (at least one job)."""
    shapes: dict[tuple[int, int], list[_Job]] = defaultdict(list)
    for job in jobs:
        window = job.window
        shapes[window.bottom - window.top, window.right - window.left].append(job)
    found = []
    for (height, width), same in shapes.items():
        size = max(1, pixels // (height * width))
        found += [same[start : start + size] for start in range(0, len(same), size)]
    return found


def _cut(image: Floats, window: Box) -> Floats:
    return image[:, window.top : window.bottom, window.left : window.right]


def _interleaved(planes: Floats) -> Floats:
    """(3,h,w) → (h,w,3), three times as fast as numpy's copy of the transposed array."""
    return np.asarray(cv2.merge(list(planes)), np.float32)


class _Clock:
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started
