"""From an image to the size that was asked for: engines one after the other, then resampling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from mmsr_core.runtime import resample, spool
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.engine import Bands, Engine
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.runtime.previous import Previous
from mmsr_core.runtime.session import Device
from mmsr_core.runtime.sizes import Size, passes
from mmsr_core.runtime.source import Held, Source
from mmsr_core.runtime.spool import Spool
from mmsr_core.runtime.tiles import Floats


@dataclass(frozen=True)
class Upscaler:
    """Opened bundles of different scales, and the size that images are to get.

    The first engine is the one that was asked for: where nothing is asked of the size it works
    alone, and the answer is its own. Several threads may call it at once.
    """

    engines: tuple[Engine, ...]
    size: Size = field(default_factory=Size)

    @property
    def manifest(self) -> Manifest:
        """That of the first engine."""
        return self.engines[0].manifest

    @property
    def device(self) -> Device:
        """That of the first engine; all of them are on one."""
        return self.engines[0].device

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of this height and width gets. See `Size.of`."""
        return self.size.of(height, width, self.manifest.scale)

    def passes(self, height: int, width: int) -> tuple[Engine, ...]:
        """The engines that an image of this height and width goes through, in order."""
        if self.size.plain:
            return self.engines[:1]
        by_scale = {engine.manifest.scale: engine for engine in reversed(self.engines)}
        factor = self.size.ratio(height, width, self.manifest.scale)
        return tuple(by_scale[scale] for scale in passes(factor, by_scale))

    def bands(
        self,
        image: Floats | Source,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
        previous: Previous | None = None,
    ) -> Bands:
        """Upscale one image to its size; see `Engine.bands`.

        All passes but the last are over when this returns; what they made is kept by a `Spool`.
        `plan` is that of the first pass. `previous` counts where a single engine makes the size.
        """
        source = Held(np.asarray(image, np.float32)) if isinstance(image, np.ndarray) else image
        height, width = self.target(source.height, source.width)
        engines = self.passes(source.height, source.width)
        if len(engines) == 1 and (height, width) == _made(engines, source.height, source.width):
            return engines[0].bands(image, effort, overlap, progress, memory, previous)
        done: list[Bands] = []
        parts = _parts(engines, progress)
        besides = self._beside(engines, source.height, source.width)
        for engine, tell, beside in zip(engines, parts, besides, strict=True):
            if done:
                source = Spool(done[-1].rows, done[-1].height, done[-1].width)
            left = None if memory is None else max(0, memory - beside)
            done.append(engine.bands(source, effort, overlap, tell, left))
        seconds: dict[str, float] = {}
        rows = _resized(done, height, width, seconds)
        macs, first = sum(one.macs for one in done), done[0]
        return Bands(rows, height, width, first.plan, seconds, macs, first.scores, first.classes)

    def memory_needed(
        self, height: int, width: int, overlap: int | None = None, memory: int | None = None
    ) -> int:
        """Bytes that `bands` holds for an image of that size when it may use `memory`."""
        engines, most = self.passes(height, width), 0
        for engine, beside in zip(engines, self._beside(engines, height, width), strict=True):
            left = None if memory is None else max(0, memory - beside)
            most = max(most, beside + engine.memory_needed(height, width, overlap, left))
            height, width = _made([engine], height, width)
        return most

    def _beside(self, engines: Sequence[Engine], height: int, width: int) -> list[int]:
        """Bytes that are held beside each pass: what the one before made, and the resampling."""
        target, found = self.target(height, width), []
        for number, engine in enumerate(engines):
            found.append(spool.memory_needed(height, width) if number else 0)
            height, width = _made([engine], height, width)
        if (height, width) != target:
            found[-1] += resample.memory_needed(width, target[1])
        return found


def _resized(
    done: Sequence[Bands], height: int, width: int, seconds: dict[str, float]
) -> Iterator[Floats]:
    """The rows of the last pass, resampled where need be; tells the seconds of all of them."""
    last = done[-1]
    rows = last.rows
    if (last.height, last.width) != (height, width):
        rows = resample.resampled(rows, last.height, last.width, height, width)
    for part in rows:
        for stage in {stage for one in done for stage in one.seconds}:
            seconds[stage] = sum(one.seconds.get(stage, 0.0) for one in done)
        yield part


def _made(engines: Sequence[Engine], height: int, width: int) -> tuple[int, int]:
    """What passes make of a height and a width."""
    for engine in engines:
        height, width = height * engine.manifest.scale, width * engine.manifest.scale
    return height, width


def _parts(engines: Sequence[Engine], progress: Progress) -> list[Progress]:
    """What each pass tells of its share to tell of the share of all of them."""
    area, costs = 1, []
    for engine in engines:
        costs.append(area * engine.manifest.deepest.macs)
        area *= engine.manifest.scale**2
    ends = np.cumsum([0.0, *costs]) / sum(costs)

    def part(start: float, end: float) -> Progress:
        return lambda share: progress(float(start + (end - start) * share))

    return [part(start, end) for start, end in pairwise(ends)]
