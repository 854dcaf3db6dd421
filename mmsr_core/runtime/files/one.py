"""One image file to one image file: decoded, upscaled and encoded row by row."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.codec.file import Codecs
from mmsr_core.runtime.engine import Bands
from mmsr_core.runtime.files.tasks import Task
from mmsr_core.runtime.image import (
    MOST_PIXELS,
    Image,
    Picture,
    Sink,
    check_size,
    open_image,
    sink_memory,
    write,
)
from mmsr_core.runtime.memory import Budget
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.runtime.resample import Reader, resampled
from mmsr_core.runtime.routemap import paint
from mmsr_core.runtime.source import Source
from mmsr_core.runtime.tiles import Floats

MAP_PIXELS = 2**24
"""Above so many a route map is painted over the source, not over the upscaled picture."""
HOLD = 2**27
"""Bytes of decoded samples up to which an image is decoded once and not for every pass."""
LEAST_FREE = 2**20
"""Bytes without which nothing is begun."""
_STRIP = 64
"""Rows of alpha that are resampled at a time."""

Facts = dict[str, Any]


class Upscales(Protocol):
    """What files are upscaled by: an `Engine`, or an `Upscaler` to any size."""

    @property
    def manifest(self) -> Manifest:
        """The first bundle's."""

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the answer to an image of this height and width."""

    def memory_needed(
        self, height: int, width: int, overlap: int | None = None, memory: int | None = None
    ) -> int:
        """Bytes that `bands` holds, given so many."""

    def bands(
        self,
        image: Floats | Source,
        effort: float | None = None,
        overlap: int | None = None,
        progress: Progress = lambda share: None,
        memory: int | None = None,
    ) -> Bands:
        """See `Engine.bands`."""


@dataclass(frozen=True)
class Settings:
    """What holds for every image: see `Engine.bands`. `workers` images are in flight at once and
    share `memory` bytes, pixels of input and output included. `quality` in 1 to 100 is for lossy
    formats; images of more than `most` pixels are refused. `codecs` open `.mmc` files."""

    effort: float | None
    overlap: int | None
    memory: int
    workers: int
    quality: int | None = None
    most: int = MOST_PIXELS
    codecs: Codecs | None = None


def upscale_file(
    upscaler: Upscales, task: Task, settings: Settings, budget: Budget, progress: Progress
) -> Facts:
    """Upscale one file and say how it went: sizes, seconds, stages, classes, regions, costs.

    Its target appears whole or not at all. ImageError, or what else went wrong, in one line.
    """
    clock = time.perf_counter()
    _check_folder(task.target)
    hold = min(HOLD, settings.memory // 4)
    picture = open_image(task.source, hold, settings.most, settings.codecs)
    small, header = (picture.header.height, picture.header.width), picture.header
    large = upscaler.target(*small)
    check_size(task.target, *large)
    opening = time.perf_counter() - clock
    progress(0.0)
    fixed = picture.held + sink_memory(task.target, *large, header)
    fixed += 0 if task.map is None else _map_memory(small, large)
    flexible = upscaler.memory_needed(*small, settings.overlap, settings.memory - fixed)
    with (
        budget.part(fixed + flexible, lambda: progress(0.0)),
        Sink(task.target, *large, header, settings.quality) as sink,
    ):
        started = time.perf_counter()
        bands = upscaler.bands(
            picture.colour, settings.effort, settings.overlap, progress, flexible
        )
        kept, encoding = _pour(bands, picture, sink, keep=_is_painted_large(task, small, large))
        if task.map is not None:
            _write_map(task.map, bands, picture, kept)
        progress(1.0)
        seconds = time.perf_counter() - started
        clock = time.perf_counter()
    encoding += time.perf_counter() - clock
    plan, spent = bands.plan, dict(bands.seconds)
    decoding = opening + spent.pop("read", 0.0)
    stages = {"decode": decoding, **spent, "encode": encoding}
    return {
        "size": [small[1], small[0]],
        "upscaled": [bands.width, bands.height],
        "pages": header.frames,
        "seconds": round(opening + seconds, 4),
        "stages": {stage: round(spent, 4) for stage, spent in stages.items()},
        "classes": {
            label: float((plan.routes == r).mean()) for r, label in enumerate(bands.classes)
        },
        "regions": len(plan.regions),
        "cost": round(plan.cost, 4),
        "macs": bands.macs,
    }


def _check_folder(target: Path) -> None:
    """ImageError, before the work and not after it, when there is no place for its answer.

    A batch makes its folders before it starts: one that is gone since was taken away.
    """
    folder = target.parent
    if not folder.is_dir():
        raise ImageError(f"{target}: folder {folder} is gone; was its disc removed?")
    if shutil.disk_usage(folder).free < LEAST_FREE:
        raise ImageError(f"{target}: the disc of {folder} is full; make room, then use --resume")


def _pour(bands: Bands, picture: Picture, sink: Sink, keep: bool) -> tuple[list[Floats], float]:
    """All rows, with their alpha, into the sink; the rows themselves if they are to be kept, and
    the seconds that the sink took."""
    kept: list[Floats] = []
    spent = 0.0
    alpha = None if picture.alpha is None else _alpha(picture.alpha, bands)
    for rows in bands.rows:
        cover = None if alpha is None else alpha.take(len(rows))
        started = time.perf_counter()
        sink.write(rows, cover)
        spent += time.perf_counter() - started
        if keep:
            kept.append(rows)
    return kept, spent


def _alpha(source: Source, bands: Bands) -> Reader:
    strips = resampled(
        source.strips(_STRIP), source.height, source.width, bands.height, bands.width
    )
    return Reader(strip.clip(0, 1) for strip in strips)


def _is_painted_large(task: Task, small: tuple[int, int], large: tuple[int, int]) -> bool:
    """Whether the map lies over the upscaled picture: not where that is large, nor where tiles
    don't end between its pixels."""
    even = large[0] % small[0] == large[1] % small[1] == 0
    same = large[0] // small[0] == large[1] // small[1]
    return task.map is not None and even and same and large[0] * large[1] <= MAP_PIXELS


def _map_memory(small: tuple[int, int], large: tuple[int, int]) -> int:
    """Bytes that painting a map takes: the picture below it, and three copies on the way."""
    return 48 * max(small[0] * small[1], min(large[0] * large[1], MAP_PIXELS))


def _write_map(path: Path, bands: Bands, picture: Picture, kept: list[Floats]) -> None:
    below = np.concatenate(kept or list(picture.colour.strips(_STRIP)))
    write(path, Image(rgb=paint(bands.plan, bands.classes, below)))
