"""Image files to image files: decoded, upscaled and encoded, several of them at a time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.cgroup import usable_cores
from mmsr_core.runtime.engine import Bands, Engine
from mmsr_core.runtime.image import Image, Samples, read, resize, to_samples, write, write_samples
from mmsr_core.runtime.memory import Budget, largest_block, needed
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.runtime.routemap import paint
from mmsr_core.runtime.tiles import Floats

GPU_WORKERS = 3
"""Images in flight on a GPU: one decoded, one computed, one encoded."""
MAP_PIXELS = 2**24
"""Above so many a route map is painted over the source, not over the upscaled picture."""
_CONTEXT = 4
"""LR rows around a strip that its interpolation looks at, and more."""

Facts = dict[str, Any]
Outcome = Facts | MmsrError


@dataclass(frozen=True)
class Task:
    """One image to upscale: where it is, where it goes, and where its route map goes."""

    source: Path
    target: Path
    map: Path | None = None


@dataclass(frozen=True)
class Settings:
    """What holds for every image: see `Engine.bands`. `workers` images are in flight at once and
    share `memory` bytes, pixels of input and output included."""

    effort: float | None
    overlap: int | None
    memory: int
    workers: int


def workers_for(images: int, cores: int | None = None) -> tuple[int, int]:
    """Images in flight at once, and threads for each: as many images as cores, if there are.

    Threads that share one image wait for each other at every layer; images don't.
    """
    cores = usable_cores() if cores is None else cores
    workers = max(1, min(images, cores))
    return workers, max(1, cores // workers)


class _Stopped(Exception):
    """Nobody waits for this image any more."""


def upscale_files(
    engine: Engine,
    tasks: Sequence[Task],
    settings: Settings,
    watch: Callable[[float], None] = lambda share: None,
) -> Iterator[tuple[Task, Outcome]]:
    """Upscale files; each with its facts or what went wrong, in the order of `tasks`.

    While one image is decoded or encoded others are upscaled; which, changes no bit of any.
    `watch` is told the share of all the work that is done, by the calling thread, several times a
    second. When the caller leaves early what is in flight is dropped, and no file is half
    written.
    """
    budget = Budget(settings.memory)
    stopped = threading.Event()
    shares = [0.0] * len(tasks)

    def upscale(number: int) -> Outcome:
        def tell(share: float) -> None:
            if stopped.is_set():
                raise _Stopped
            shares[number] = share

        try:
            return upscale_file(engine, tasks[number], settings, budget, tell)
        except MmsrError as error:
            return error
        finally:
            shares[number] = 1.0

    with ThreadPoolExecutor(settings.workers) as pool:
        futures = [pool.submit(upscale, number) for number in range(len(tasks))]
        try:
            for task, future in zip(tasks, futures, strict=True):
                outcome = _await(future, lambda: watch(sum(shares) / len(shares)))
                yield task, outcome
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _await(future: Future[Outcome], meanwhile: Callable[[], None]) -> Outcome:
    while True:
        meanwhile()
        try:
            return future.result(timeout=0.1)
        except TimeoutError:
            continue


def upscale_file(
    engine: Engine, task: Task, settings: Settings, budget: Budget, progress: Progress
) -> Facts:
    """Upscale one file and say how it went: sizes, seconds, stages, classes, regions, costs."""
    clock = time.perf_counter()
    image = read(task.source)
    decoding = time.perf_counter() - clock
    progress(0.0)
    fixed, flexible = _needs(engine, image, settings)
    with budget.part(fixed + flexible):
        progress(0.0)  # it may have waited long
        started = time.perf_counter()
        bands = engine.bands(image.rgb, settings.effort, settings.overlap, progress, flexible)
        samples, kept = _collect(task, image, bands, engine.manifest.scale)
        seconds = time.perf_counter() - started
        progress(1.0)
        write_samples(task.target, samples, image)
        if task.map is not None:
            picture = paint(bands.plan, engine.manifest.classes, kept)
            write(task.map, Image(rgb=picture))
        encoding = time.perf_counter() - started - seconds
    stages = {"decode": decoding, **bands.seconds, "encode": encoding}
    plan, classes = bands.plan, engine.manifest.classes
    return {
        "size": [image.rgb.shape[1], image.rgb.shape[0]],
        "upscaled": [bands.width, bands.height],
        "seconds": round(decoding + seconds, 4),
        "stages": {stage: round(spent, 4) for stage, spent in stages.items()},
        "classes": {label: float((plan.routes == r).mean()) for r, label in enumerate(classes)},
        "regions": len(plan.regions),
        "cost": round(plan.cost, 4),
        "macs": bands.macs,
    }


def _needs(engine: Engine, image: Image, settings: Settings) -> tuple[int, int]:
    """Bytes for input and output, and for the engine, as if the image were alone."""
    manifest = engine.manifest
    height, width = image.rgb.shape[:2]
    halo = engine.halo(settings.overlap)
    channels = 3 if image.alpha is None else 4
    output = height * width * manifest.scale**2 * channels * image.bits // 8
    fixed = 4 * height * width * channels + 2 * output  # the file is smaller than its pixels
    block = largest_block(manifest, height, width, halo, settings.memory - fixed)
    return fixed, needed(manifest, height, width, halo, block)


def _collect(task: Task, image: Image, bands: Bands, scale: int) -> tuple[Samples, Floats]:
    """The upscaled pixels as the target's format holds them, and those to paint a map over."""
    small = bands.height * bands.width <= MAP_PIXELS
    kept: list[Floats] = []
    samples: Samples | None = None
    top = 0
    for rows in bands.rows:
        bottom = top + len(rows)
        alpha = None if image.alpha is None else _alpha_rows(image.alpha, scale, top, bottom)
        slab = to_samples(task.target, replace(image, rgb=rows, alpha=alpha))
        if samples is None:
            samples = np.empty((bands.height, *slab.shape[1:]), slab.dtype)
        samples[top:bottom] = slab
        if task.map is not None and small:
            kept.append(rows)
        top = bottom
    assert samples is not None
    return samples, np.concatenate(kept) if kept else image.rgb


def _alpha_rows(alpha: Floats, scale: int, top: int, bottom: int) -> Floats:
    """Rows `top` to `bottom` of the upscaled alpha, from the rows of `alpha` that they look at."""
    first = max(0, top // scale - _CONTEXT)
    strip = alpha[first : -(-bottom // scale) + _CONTEXT]
    resized = resize(strip, strip.shape[0] * scale, strip.shape[1] * scale).clip(0, 1)
    return resized[top - first * scale : bottom - first * scale]
