"""The engine: bundle + image → image. Route, run experts, fuse, stitch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from mmsr_core.runtime.bundle import Bundle, Manifest, read_manifest
from mmsr_core.runtime.experts import Experts, Notice, suited
from mmsr_core.runtime.jobs import bands_of
from mmsr_core.runtime.memory import SHARE, free_memory, largest_block
from mmsr_core.runtime.pipeline import Clock, Pipeline, Progress, Work
from mmsr_core.runtime.plan import Costs, Plan, costs_of, make_plan, penalties, price, uniform_plan
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.tiles import Canvas, Floats, Grid

ROUTER_BATCH = 1024


@dataclass(frozen=True)
class Result:
    """One upscaled image: `pixels` float32 (s·h,s·w,3) in [0,1], and how it came about."""

    pixels: Floats
    plan: Plan
    seconds: dict[str, float]
    """Time of the whole call by stage: route, plan, experts, fuse, stitch."""
    macs: float
    """Multiply-accumulates spent on this image, halo included."""


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
        graphs = {name: bundle.graph(name) for name in bundle.manifest.files}
        router = graphs[bundle.manifest.router.graph]
        self.device = Device.choose(device, graphs[bundle.manifest.experts[0].graph])
        manifest = self.manifest = suited(bundle.manifest, self.device)
        # Threads add a forest's trees in an order of their own: one, so that plans never differ.
        self._router = Session(router, self.device, f"{manifest.name}: router", threads=1)
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
        image: Floats,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
    ) -> Bands:
        """Upscale one image, float32 RGB (h,w,3) in [0,1], without holding all of the answer.

        `effort` in [0,1] trades time for quality (default: the bundle's). `overlap` in LR pixels,
        at most a cell, averages that much between regions as in the 2019 paper, in place of the
        bundle's narrow cross-fade. `progress` is told the share of the work that is done.
        `memory` in bytes bounds what is held beside `image` and the rows that are out (default:
        half of what is free). It decides how large a part of the image is planned at once, and
        nothing else does: where that is the same, so is every bit.
        """
        clock = Clock()
        memory = int(free_memory() * SHARE) if memory is None else memory
        work = self._begin(image, effort, overlap, memory, clock)
        slabs = self._pipeline.run([work], memory, clock, progress)
        rows = (_interleaved(slab) for _, slab in slabs)
        height, width = image.shape[0] * self.manifest.scale, image.shape[1] * self.manifest.scale
        macs = plan_macs(work.plan, self.manifest)
        return Bands(rows, height, width, work.plan, clock.seconds, macs)

    def upscale(
        self,
        image: Floats,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress | None = None,
        memory: int | None = None,
    ) -> Result:
        """Upscale one image, float32 RGB (h,w,3) in [0,1]. See `bands`."""
        return self.upscale_all([image], effort, overlap, progress, memory)[0]

    def upscale_all(
        self,
        images: Sequence[Floats],
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress | None = None,
        memory: int | None = None,
    ) -> list[Result]:
        """Upscale images together: tiles of one expert form batches across all of them.

        See `bands`; `memory` does not count the results.
        """
        clock = Clock()
        scale = self.manifest.scale
        memory = int(free_memory() * SHARE) if memory is None else memory
        works = [self._begin(image, effort, overlap, memory, clock) for image in images]
        pixels: list[Floats] = [
            np.empty((image.shape[0] * scale, image.shape[1] * scale, 3), np.float32)
            for image in images
        ]
        filled = [0] * len(works)
        for index, slab in self._pipeline.run(
            works, memory, clock, progress or (lambda share: None)
        ):
            with clock.stage("stitch"):
                top, bottom = filled[index], filled[index] + slab.shape[1]
                cv2.merge(list(slab), pixels[index][top:bottom])
                filled[index] = bottom
        return [
            Result(done, work.plan, dict(clock.seconds), plan_macs(work.plan, self.manifest))
            for done, work in zip(pixels, works, strict=True)
        ]

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

    def _begin(
        self,
        image: Floats,
        effort: float | None,
        overlap: int | None,
        memory: int,
        clock: Clock,
    ) -> Work:
        """Plan an image; ValueError for an overlap or an effort outside its range."""
        manifest = self.manifest
        width = 2 * manifest.tiles.seam if overlap is None else overlap
        if not 0 <= width <= manifest.tiles.cell:
            raise ValueError(f"overlap {width} is not within 0 and the cell, {manifest.tiles.cell}")
        chosen = manifest.effort.default if effort is None else effort
        if not 0 <= chosen <= 1:
            raise ValueError(f"effort {chosen} is not within 0 and 1")
        image = np.asarray(image, np.float32)
        grid = Grid(image.shape[0], image.shape[1], manifest.tiles.cell)
        halo = self.halo(overlap)
        block = largest_block(manifest, grid.height, grid.width, halo, memory)
        plan = self._plan(image, grid, costs_of(manifest, halo), chosen, block, clock)
        bands = bands_of(plan.regions, self._pipeline.wave_pixels(memory))
        tallest = max(band.bottom - band.top for band in bands)
        canvas = Canvas(grid, manifest.scale, width, overlap is not None, tallest)
        return Work(image, plan, canvas, bands)

    def halo(self, overlap: int | None = None) -> int:
        """LR pixels around a region that are computed and thrown away, its seam included."""
        tiles, scale = self.manifest.tiles, self.manifest.scale
        half = (2 * tiles.seam if overlap is None else overlap) * scale // 2
        return tiles.halo + -(-half // scale)

    def _plan(
        self,
        image: Floats,
        grid: Grid,
        costs: Costs,
        effort: float,
        block: int,
        clock: Clock,
    ) -> Plan:
        if effort >= 1 or len(costs.routes) == 1:  # no question for a router
            return uniform_plan(grid, costs, costs.deepest, block)
        router = self.manifest.router
        with clock.stage("route"):
            answers = [
                self._router.run(cells, router.output, (len(cells), len(costs.routes)))
                for cells in grid.cells_of(image, ROUTER_BATCH)
            ]
            scores = np.concatenate(answers).astype(np.float64)
        with clock.stage("plan"):
            losses = penalties(scores, router.output, effort, costs, grid.areas)
            return make_plan(losses, grid, costs, price(effort, self.manifest.effort), block)


def plan_macs(plan: Plan, manifest: Manifest) -> float:
    """Multiply-accumulates of a plan's experts, halo included."""
    total = 0.0
    for label, pixels in zip(manifest.classes, plan.pixels(), strict=True):
        names = manifest.routes[label].experts
        total += pixels * sum(manifest.expert(name).macs for name in names)
    return float(total)


def _interleaved(planes: Floats) -> Floats:
    """(3,h,w) → (h,w,3), three times as fast as numpy's copy of the transposed array."""
    return np.asarray(cv2.merge(list(planes)), np.float32)
