"""A video file to a video file: decoded, upscaled and encoded, each in a thread of its own."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import VideoError
from mmsr_core.runtime.atomic import replacing
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.engine import Bands, Engine
from mmsr_core.runtime.previous import Previous
from mmsr_core.runtime.resample import resampled
from mmsr_core.runtime.tiles import Floats, Grid
from mmsr_core.video import Settings
from mmsr_core.video.ahead import ahead
from mmsr_core.video.clip import Clip, Damage, Frame
from mmsr_core.video.reuse import Reference
from mmsr_core.video.writer import Writer

_DECODED, _UPSCALED = 2, 1
"""Frames that wait for the engine, and for the encoder."""
_IN_FLIGHT = _UPSCALED + 4
"""Upscaled frames in memory: the last one, two at work, one at the encoder, and those between."""


class _Stopped(Exception):
    """Nobody waits for this video any more."""


@dataclass(frozen=True)
class _Picture:
    """An upscaled frame, float32 RGB (h,w,3) in [0,1], and when it is shown."""

    pixels: Floats
    pts: int
    duration: int


@dataclass
class _Tally:
    """What was done so far: sums over the frames."""

    frames: int = 0
    cost: float = 0.0
    macs: float = 0.0
    regions: int = 0
    routes: Counter[int] = field(default_factory=Counter)
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, bands: Bands) -> None:
        """Count a frame."""
        self.frames += 1
        self.cost += bands.plan.cost
        self.macs += bands.macs
        self.regions += len(bands.plan.regions)
        self.routes.update(bands.plan.routes.ravel().tolist())
        for stage, seconds in bands.seconds.items():
            self.stages[stage] += seconds

    def keep(self, cells: int, route: int) -> None:
        """Count a frame that is the last one again; `route` is the number of what is taken over."""
        self.frames += 1
        self.routes[route] += cells

    def facts(self, classes: Sequence[str]) -> dict[str, Any]:
        """Shares of all cells by class, their cost relative to the deepest expert's, and time."""
        cells = max(1, self.routes.total())
        return {
            "stages": {stage: round(spent, 4) for stage, spent in self.stages.items()},
            "classes": {label: self.routes[r] / cells for r, label in enumerate(classes)},
            "reused": self.routes[len(classes)] / cells,
            "regions": self.regions,
            "cost": round(self.cost / max(1, self.frames), 4),
            "macs": self.macs,
        }


def upscale(
    upscaler: Upscaler | Engine,
    source: Path,
    target: Path,
    settings: Settings,
    progress: Callable[[float], None],
    notice: Callable[[str], None],
) -> dict[str, Any]:
    """See `mmsr_core.video.upscale_video`."""
    started = time.perf_counter()
    tally, damages = _Tally(), list[str]()
    stopped = threading.Event()
    if isinstance(upscaler, Engine):
        upscaler = Upscaler((upscaler,))

    with Clip(source) as clip:
        for remark in clip.remarks:
            notice(f"{source}: {remark}")
        height, width = upscaler.target(clip.height, clip.width)
        settings = _within(settings, upscaler, clip, source)

        def tell(share: float) -> None:
            if stopped.is_set():
                raise _Stopped
            progress(min(1.0, (tally.frames + share) / max(1, clip.frames)))

        with (
            replacing(target) as part,
            Writer(part, target, clip, height, width, settings.quality, notice) as writer,
        ):
            decoded = ahead(clip.items(writer.copied), _DECODED)
            upscaled = ahead(_upscaled(upscaler, clip, decoded, settings, tally, tell), _UPSCALED)
            try:
                for item in upscaled:
                    clock = time.perf_counter()
                    if isinstance(item, _Picture):
                        writer.write(item.pixels, item.pts, item.duration)
                    elif isinstance(item, Damage):
                        damages.append(item.reason)
                    else:
                        writer.copy(item)
                    tally.stages["encode"] += time.perf_counter() - clock
            finally:
                stopped.set()
                upscaled.close()
    if damages:
        more = f" and {len(damages) - 1} times more" if damages[1:] else ""
        notice(f"{source}: damaged ({damages[0]}{more}); what can be decoded is kept")
    classes = upscaler.passes(clip.height, clip.width)[0].manifest.classes
    return {
        "size": [clip.width, clip.height],
        "upscaled": [width + width % 2, height + height % 2],
        "frames": tally.frames,
        "damaged": len(damages),
        "codec": writer.encoder.name,
        "seconds": round(time.perf_counter() - started, 4),
        **tally.facts(classes),
    }


def _within(settings: Settings, upscaler: Upscaler, clip: Clip, source: Path) -> Settings:
    """The settings with the memory that frames in flight leave; VideoError when that is none."""
    if settings.memory is None:
        return settings
    height, width = upscaler.target(clip.height, clip.width)
    held = 12 * (_IN_FLIGHT * height * width + (_DECODED + 3) * clip.height * clip.width)
    least = upscaler.memory_needed(clip.height, clip.width, settings.overlap, 0)
    if held + least > settings.memory:
        raise VideoError(
            f"{source}: needs about {(held + least) / 2**20:.0f} MiB, "
            f"{settings.memory / 2**20:.0f} MiB are to be used; raise --memory"
        )
    return replace(settings, memory=settings.memory - held)


def _upscaled(
    upscaler: Upscaler,
    clip: Clip,
    items: Generator[Any],
    settings: Settings,
    tally: _Tally,
    tell: Callable[[float], None],
) -> Generator[Any]:
    """The items of a clip, its frames upscaled: what did not change is taken over.

    Where one engine makes the size, alone or before resampling, that goes cell by cell;
    otherwise only for a frame that is the last one again.
    """
    engines = upscaler.passes(clip.height, clip.width)
    single = engines[0] if len(engines) == 1 else None
    target = upscaler.target(clip.height, clip.width)
    grid = Grid(clip.height, clip.width, engines[0].manifest.tiles.cell)
    step = 2.0 ** (clip.coding.bits - 8)
    reference = Reference(grid, -1 if settings.threshold is None else settings.threshold * step)
    previous: Previous | None = None
    pixels: Floats | None = None
    with closing(items):
        for item in items:
            if not isinstance(item, Frame):
                yield item
                continue
            clock = time.perf_counter()
            planes = clip.upright(item)
            same = reference.same(planes)
            if pixels is not None and same.all():
                tally.keep(same.size, len(engines[0].manifest.classes))
                tell(0.0)
                yield _Picture(pixels, item.pts, item.duration)
                continue
            rgb = clip.rgb(item)
            tally.stages["convert"] += time.perf_counter() - clock
            if previous is not None:
                previous = replace(previous, same=same)
            bands = (single or upscaler).bands(
                rgb, settings.effort, settings.overlap, tell, settings.memory, previous
            )
            pixels = np.empty((bands.height, bands.width, 3), np.float32)
            top = 0
            for rows in bands.rows:
                pixels[top : top + len(rows)] = rows
                top += len(rows)
            if single is not None:
                previous = Previous(pixels, same, bands.scores)
                if (bands.height, bands.width) != target:
                    size = bands.height, bands.width
                    pixels = np.concatenate(list(resampled(iter([pixels]), *size, *target)))
            reference.update(planes, bands.plan.routes != bands.plan.kept)
            tally.add(bands)
            yield _Picture(pixels, item.pts, item.duration)
