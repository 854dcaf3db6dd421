"""An opened model: pictures in, larger pictures out; one, many, or while a loop goes on."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mmsr_core.api.given import Given, opened
from mmsr_core.api.result import Result
from mmsr_core.errors import ImageError
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.engine import Bands, Engine
from mmsr_core.runtime.memory import SHARE, Budget, free_memory
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.runtime.resample import resampled
from mmsr_core.runtime.session import Device
from mmsr_core.runtime.sizes import Size
from mmsr_core.runtime.source import gathered

AHEAD = 2
"""Pictures in flight at once: one is computed while another is decoded or encoded."""
_STRIP = 64


class _Stopped(Exception):
    """Nobody waits for this picture any more."""


@dataclass(frozen=True)
class _Ask:
    """How pictures are upscaled; see `Model.upscale`."""

    upscaler: Upscaler
    effort: float | None
    overlap: int | None
    memory: int | None

    def run(self, image: Given, progress: Progress = lambda share: None) -> Result:
        """One picture from beginning to end."""
        given = opened(image)
        bands = self.upscaler.bands(given.colour, self.effort, self.overlap, progress, self.memory)
        pixels = gathered(bands.rows, (bands.height, bands.width, 3))
        alpha = None
        if given.alpha is not None:
            sizes = given.alpha.height, given.alpha.width, bands.height, bands.width
            rows = resampled(given.alpha.strips(_STRIP), *sizes)
            alpha = gathered(rows, sizes[2:]).clip(0, 1)
        header = replace(given.header, height=bands.height, width=bands.width)
        return Result(pixels, alpha, header, bands.plan, dict(bands.seconds), bands.macs)


@dataclass(frozen=True)
class Model:
    """An opened model, from `mmsr_core.load`. Several threads may use it at once.

    Every way to upscale takes the same options: `scale`, any factor from 1, or `size`, a `Size`
    (default: the model's own scale); `effort`, `overlap` and `memory` as of `Engine.bands`.
    A picture is a path, an array (h,w), (h,w,1), (h,w,3) or (h,w,4) of uint8, uint16 or floats
    in [0,1], or a Pillow image. ImageError when it is none of these, can't be read, or is larger
    than what is asked.
    """

    upscaler: Upscaler

    @property
    def engine(self) -> Engine:
        """The bundle that does the model's own scale."""
        return self.upscaler.engines[0]

    @property
    def manifest(self) -> Manifest:
        """The facts of that bundle."""
        return self.upscaler.manifest

    @property
    def device(self) -> Device:
        """What it runs on."""
        return self.upscaler.device

    @property
    def scale(self) -> int:
        """The factor where nothing is asked."""
        return self.manifest.scale

    def upscale(
        self,
        image: Given,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
    ) -> Result:
        """Upscale one picture; `progress` is told the share done, what it raises ends it."""
        return self._ask(effort, overlap, memory, scale, size).run(image, progress)

    def bands(
        self,
        image: Given,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
    ) -> Bands:
        """Upscale one picture's colour, whose rows come as they are finished and are not kept."""
        upscaler = self._ask(effort, overlap, memory, scale, size).upscaler
        return upscaler.bands(opened(image).colour, effort, overlap, progress, memory)

    def upscale_file(
        self,
        source: str | PathLike[str],
        target: str | PathLike[str],
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
        quality: int | None = None,
    ) -> dict[str, Any]:
        """Upscale a file row by row, however large, and say how it went.

        The target's folder is made if missing; the target appears whole or not at all, in place
        of what is there. `quality` is as of `Result.save`. `memory` bounds all that is held.
        """
        from mmsr_core.runtime.files import Settings, Task, upscale_file

        task = Task(Path(source), Path(target))
        if task.target.exists() and task.source.exists() and task.target.samefile(task.source):
            raise ImageError(f"{task.target}: is the picture itself; choose another target")
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{task.target}: cannot make its folder ({error.strerror})") from None
        room = int(free_memory() * SHARE) if memory is None else memory
        settings = Settings(effort, overlap, room, 1, quality)
        upscaler = self._ask(effort, overlap, memory, scale, size).upscaler
        return upscale_file(upscaler, task, settings, Budget(room), progress)

    def upscale_many(
        self,
        images: Iterable[Given],
        effort: float | None = None,
        overlap: int | None = None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
        workers: int = AHEAD,
    ) -> Iterator[Result]:
        """Upscale pictures, `workers` of them at once; results come in order, as they are asked
        for, and no more than `workers` pictures are taken ahead of them.

        `memory` is for all of them. The error of a picture is raised at its place, and ends it.
        """
        ask = self._ask(effort, overlap, _share(memory, workers), scale, size)
        stopped = threading.Event()
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for image in images:
                    waiting.append(pool.submit(ask.run, image, _until(stopped)))
                    if len(waiting) == workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                stopped.set()
                pool.shutdown(cancel_futures=True)

    async def aupscale(
        self,
        image: Given,
        effort: float | None = None,
        overlap: int | None = None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
    ) -> Result:
        """`upscale` in a thread, so that the loop goes on; when cancelled the thread ends soon."""
        return await _in_thread(self._ask(effort, overlap, memory, scale, size), image)

    async def aupscale_many(
        self,
        images: Iterable[Given] | AsyncIterable[Given],
        effort: float | None = None,
        overlap: int | None = None,
        memory: int | None = None,
        *,
        scale: float | None = None,
        size: Size | None = None,
        workers: int = AHEAD,
    ) -> AsyncIterator[Result]:
        """`upscale_many` for `async for`; it takes pictures that are awaited as well."""
        ask = self._ask(effort, overlap, _share(memory, workers), scale, size)
        waiting: deque[asyncio.Task[Result]] = deque()
        try:
            async for image in _each(images):
                waiting.append(asyncio.create_task(_in_thread(ask, image)))
                if len(waiting) == workers:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()

    def _ask(
        self,
        effort: float | None,
        overlap: int | None,
        memory: int | None,
        scale: float | None,
        size: Size | None,
    ) -> _Ask:
        if scale is not None and size is not None:
            raise ImageError("scale and size can't hold together: give one of them")
        asked = Size(factor=scale) if size is None else size
        return _Ask(replace(self.upscaler, size=asked), effort, overlap, memory)


def _share(memory: int | None, workers: int) -> int:
    """What each of several pictures may hold; ImageError for a number of workers that can't be."""
    if workers < 1:
        raise ImageError(f"{workers} workers: at least 1")
    return int(free_memory() * SHARE if memory is None else memory) // workers


def _until(stopped: threading.Event) -> Progress:
    """A progress that ends the work once it is stopped."""

    def tell(share: float) -> None:
        if stopped.is_set():
            raise _Stopped

    return tell


async def _in_thread(ask: _Ask, image: Given) -> Result:
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(ask.run, image, _until(stopped))
    finally:
        stopped.set()


async def _each(images: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image
