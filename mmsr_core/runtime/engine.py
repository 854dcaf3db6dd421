"""The engine: bundle + image → image. Route, run experts, fuse, stitch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from mmsr_core.runtime.bundle import Bundle, Manifest, read_manifest
from mmsr_core.runtime.experts import Experts, Notice, suited
from mmsr_core.runtime.jobs import bands_of
from mmsr_core.runtime.memory import SHARE, free_memory, largest_block, needed
from mmsr_core.runtime.pipeline import Pipeline, Progress, Request, Work
from mmsr_core.runtime.plan import Array, Block, Plan, costs_of, make_plan, only, penalties, price
from mmsr_core.runtime.previous import Previous as Previous
from mmsr_core.runtime.router import Router
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.source import Held, Source, Window
from mmsr_core.runtime.tiles import Canvas, Floats, Grid


@dataclass(frozen=True)
class Result:
    """One upscaled image: `pixels` float32 (s·h,s·w,3) in [0,1], and how it came about."""

    pixels: Floats
    plan: Plan
    seconds: dict[str, float]
    """Time of the whole call by stage: read, route, plan, experts, fuse, stitch."""
    macs: float
    """Multiply-accumulates spent on this image, halo included."""
    scores: Array | None = None
    """The router's answers (cells, routes), for `Previous`; none where it was not asked."""


@dataclass(frozen=True)
class Bands:
    """One image that is being upscaled: its rows come as they are finished, and are not kept."""

    rows: Iterator[Floats]
    """float32 (n,s·w,3), from top to bottom, to be taken once."""
    height: int
    width: int
    plan: Plan
    seconds: dict[str, float]
    """Time so far by stage: complete when the last rows are out."""
    macs: float
    scores: Array | None = None
    """See `Result`."""
    classes: tuple[str, ...] = ()
    """What the routes of `plan` are called."""


class Engine:
    """An opened bundle: one ONNX Runtime session per graph, on one device.

    Several threads may call it at once.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        threads: int | None = None,
        notice: Notice = lambda line: None,
    ) -> None:
        """Check and open every graph of a bundle on `device`; see `Device.choose` for its names.

        `threads` for one run on a CPU, by default all there are. `notice` is told, once, of what
        was run again because memory or a precision's range did not suffice.
        """
        graphs = bundle.files()
        router = graphs[bundle.manifest.router.graph]
        self.device = Device.choose(device, graphs[bundle.manifest.experts[0].graph])
        manifest = self.manifest = suited(bundle.manifest, self.device)
        self._router = Router(manifest, router, self.device)
        experts = Experts(manifest, graphs, self.device, threads, notice)
        fusers = {
            name: Session(graphs[fuser.graph], self.device, name, threads)
            for name, fuser in manifest.fusers.items()
        }
        self._pipeline = Pipeline(manifest, self.device, experts, fusers)

    @classmethod
    def open(
        cls,
        directory: str | Path,
        device: str = "auto",
        threads: int | None = None,
        notice: Notice = lambda line: None,
    ) -> Self:
        """Verify and open the bundle in `directory`."""
        directory = Path(directory)
        return cls(Bundle(read_manifest(directory), directory), device, threads, notice)

    def bands(
        self,
        image: Floats | Source,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        previous: Previous | None = None,
    ) -> Bands:
        """Upscale one image, float32 RGB (h,w,3) in [0,1], without holding all of the answer.

        A source is read twice, by the router and by the experts, and never held as a whole; the
        answer is that to the same array, to the bit. `effort` in [0,1] trades time for quality
        (default: the bundle's). `overlap` in LR pixels, at most a cell, averages that much between
        regions as in the 2019 paper, in place of the bundle's narrow cross-fade. `progress` is
        told the share of the work that is done. `memory` in bytes bounds what is held beside
        `image`, `previous` and the rows that are out (default: half of what is free). It decides
        how large a part of the image is planned at once, and nothing else does: where that is the
        same, so is every bit. What `previous` allows to take over is not computed again.
        """
        request = self._request(effort, overlap, progress, memory)
        work = self._begin(image, request, previous)
        rows = (_interleaved(slab) for _, slab in self._pipeline.run([work], request))
        grid, scale = work.plan.grid, self.manifest.scale
        return Bands(
            rows,
            grid.height * scale,
            grid.width * scale,
            work.plan,
            request.clock.seconds,
            plan_macs(work.plan, self.manifest),
            work.scores,
            self.manifest.classes,
        )

    def upscale(
        self,
        image: Floats | Source,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        previous: Previous | None = None,
    ) -> Result:
        """Upscale one image, float32 RGB (h,w,3) in [0,1]. See `bands`."""
        request = self._request(effort, overlap, progress, memory)
        return self._finish([self._begin(image, request, previous)], request)[0]

    def upscale_all(
        self,
        images: Sequence[Floats | Source],
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
    ) -> list[Result]:
        """Upscale images together: tiles of one expert form batches across all of them.

        See `bands`; `memory` does not count the results.
        """
        request = self._request(effort, overlap, progress, memory)
        return self._finish([self._begin(image, request) for image in images], request)

    def run_expert(self, name: str, image: Floats) -> Floats:
        """One expert on the whole image, untiled: what a plain upscaler does."""
        self.manifest.expert(name)
        tiles = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)[None]
        return _interleaved(self._pipeline.experts.run(name, tiles)[0])

    def run_fuser(self, name: str, answers: Sequence[Floats]) -> Floats:
        """One fuser on whole answers, (s·h,s·w,3) each, in the order of their route's experts."""
        candidates = np.stack([answer.transpose(2, 0, 1) for answer in answers])[None]
        shape = 1, *candidates.shape[2:]
        return _interleaved(self._pipeline.fusers[name].run(candidates, "fused", shape)[0])

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the answer to an image of that size."""
        return height * self.manifest.scale, width * self.manifest.scale

    def memory_needed(
        self, height: int, width: int, overlap: int | None = None, memory: int | None = None
    ) -> int:
        """Bytes that `bands` holds for an image of that size when it may use `memory`."""
        halo = self.halo(overlap)
        block = largest_block(self.manifest, height, width, halo, _allowed(memory))
        return needed(self.manifest, height, width, halo, block)

    def halo(self, overlap: int | None = None) -> int:
        """LR pixels around a region that are computed and thrown away, its seam included."""
        tiles, scale = self.manifest.tiles, self.manifest.scale
        half = (2 * tiles.seam if overlap is None else overlap) * scale // 2
        return tiles.halo + -(-half // scale)

    def _request(
        self, effort: float | None, overlap: int | None, progress: Progress, memory: int | None
    ) -> Request:
        """What is asked for; ValueError for an overlap or an effort outside its range."""
        manifest = self.manifest
        width = 2 * manifest.tiles.seam if overlap is None else overlap
        if not 0 <= width <= manifest.tiles.cell:
            raise ValueError(f"overlap {width} is not within 0 and the cell, {manifest.tiles.cell}")
        chosen = manifest.effort.default if effort is None else effort
        if not 0 <= chosen <= 1:
            raise ValueError(f"effort {chosen} is not within 0 and 1")
        average, halo = overlap is not None, self.halo(overlap)
        return Request(chosen, width, average, halo, _allowed(memory), progress)

    def _begin(
        self, image: Floats | Source, request: Request, previous: Previous | None = None
    ) -> Work:
        """Plan an image; ValueError for a previous answer to an image of another size."""
        manifest = self.manifest
        source = Held(np.asarray(image, np.float32)) if isinstance(image, np.ndarray) else image
        grid = Grid(source.height, source.width, manifest.tiles.cell)
        if previous is not None:
            previous.check(grid, manifest.scale)
        block = largest_block(manifest, grid.height, grid.width, request.halo, request.memory)
        plan, scores = self._plan(source, grid, request, block, previous)
        bands = bands_of(plan.regions, self._pipeline.wave_pixels(request.memory))
        tallest = max(band.bottom - band.top for band in bands)
        ground = None if previous is None or plan.kept is None else previous.ground
        canvas = Canvas(grid, manifest.scale, request.overlap, request.average, tallest, ground)
        return Work(Window(source), plan, canvas, bands, scores)

    def _plan(
        self, source: Source, grid: Grid, request: Request, block: Block, previous: Previous | None
    ) -> tuple[Plan, Array | None]:
        """The plan, and the router's answers that it rests on, if there was a question for it."""
        costs = costs_of(self.manifest, request.halo)
        settled = None if previous is None else previous.settled(grid, request.halo)
        losses, rate = only(costs.deepest, grid.rows * grid.columns, costs), 1.0
        scores = None if previous is None else previous.scores
        if request.effort < 1 and len(costs.routes) > 1 and (settled is None or not settled.all()):
            scores = self._router.scores(source, grid, request, previous)
            output = self.manifest.router.output
            losses = penalties(scores, output, request.effort, costs, grid.areas)
            rate = price(request.effort, self.manifest.effort)
        else:
            costs = replace(costs, router=0.0)
        with request.clock.stage("plan"):
            there = settled if settled is not None and settled.any() else None
            watch = partial(request.progress, 0.0)
            return make_plan(losses, grid, costs, rate, block, there, watch), scores

    def _finish(self, works: Sequence[Work], request: Request) -> list[Result]:
        """Run planned images to their ends."""
        scale = self.manifest.scale
        grids = [work.plan.grid for work in works]
        pixels: list[Floats] = [
            np.empty((grid.height * scale, grid.width * scale, 3), np.float32) for grid in grids
        ]
        spent = [plan_macs(work.plan, self.manifest) for work in works]
        filled = [0] * len(works)
        for index, slab in self._pipeline.run(works, request):
            with request.clock.stage("stitch"):
                top, bottom = filled[index], filled[index] + slab.shape[1]
                cv2.merge(list(slab), pixels[index][top:bottom])
                filled[index] = bottom
        return [
            Result(done, work.plan, dict(request.clock.seconds), macs, work.scores)
            for done, work, macs in zip(pixels, works, spent, strict=True)
        ]


def _allowed(memory: int | None) -> int:
    """Bytes that may be used: half of what is free, unless somebody says otherwise."""
    return int(free_memory() * SHARE) if memory is None else memory


def plan_macs(plan: Plan, manifest: Manifest) -> float:
    """Multiply-accumulates of a plan's experts, halo included."""
    total = 0.0
    computed = plan.pixels()[: len(manifest.classes)]  # what is taken over costs nothing
    for label, pixels in zip(manifest.classes, computed, strict=True):
        names = manifest.routes[label].experts
        total += pixels * sum(manifest.expert(name).macs for name in names)
    return float(total)


def _interleaved(planes: Floats) -> Floats:
    """(3,h,w) → (h,w,3), three times as fast as numpy's copy of the transposed array."""
    return np.asarray(cv2.merge(list(planes)), np.float32)
