"""Jobs: a plan's regions on their way through the experts, in bands, waves and batches."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from mmsr_core.runtime.plan import Region
from mmsr_core.runtime.tiles import Box, Floats

BUCKET = 32
"""Window sides are multiples of it on a GPU, which pays for every shape that it hasn't seen."""


@dataclass
class Job:
    """A region on its way through its route's experts; the buffer before a fusion is `answers`."""

    image: int
    route: str
    box: Box
    window: Box
    """What the experts see of the image, halo included."""
    shape: tuple[int, int]
    """Height and width of the tile: the window's, or more where the image ends too early."""
    answers: dict[str, Floats] = field(default_factory=dict)

    def tile(self, pixels: Floats) -> Floats:
        """The pixels (h,w,3) of the window as planes (3,*shape), their border repeated."""
        planes = np.asarray(cv2.split(pixels), np.float32)
        below, right = self.shape[0] - planes.shape[1], self.shape[1] - planes.shape[2]
        if below or right:
            planes = np.pad(planes, ((0, 0), (0, below), (0, right)), mode="edge")
        return planes


@dataclass(frozen=True)
class Band:
    """Regions that together fill the image's whole width, from LR row `top` to `bottom`."""

    top: int
    bottom: int
    regions: tuple[Region, ...]


def bands_of(regions: Sequence[Region], pixels: int = 0) -> list[Band]:
    """Cut a plan along every line that no region crosses, into bands of at least so many pixels."""
    bands: list[Band] = []
    mine: list[Region] = []
    area = 0
    for region in sorted(regions, key=lambda region: region.box.top):
        bottom = max((one.box.bottom for one in mine), default=0)
        if mine and region.box.top >= bottom and area >= pixels:
            bands.append(Band(mine[0].box.top, bottom, tuple(mine)))
            mine, area = [], 0
        mine.append(region)
        area += region.box.area
    if mine:
        bands.append(Band(mine[0].box.top, max(one.box.bottom for one in mine), tuple(mine)))
    return bands


def waves(bands: Sequence[Sequence[Band]], pixels: int) -> Iterator[list[tuple[int, Band]]]:
    """The bands of several images in order, so many together that a batch can be filled.

    Each comes with the index of its image. A wave has one band of an image at most where the
    bands are themselves as large as asked for.
    """
    wave: list[tuple[int, Band]] = []
    area = 0
    for index, mine in enumerate(bands):
        for band in mine:
            wave.append((index, band))
            area += sum(region.box.area for region in band.regions)
            if area >= pixels:
                yield wave
                wave, area = [], 0
    if wave:
        yield wave


def parts(jobs: Iterable[Job], pixels: int) -> Iterator[list[Job]]:
    """Jobs in order, so many together that a batch can be filled: few answers wait for others."""
    part: list[Job] = []
    area = 0
    for job in jobs:
        part.append(job)
        area += job.window.area
        if area >= pixels:
            yield part
            part, area = [], 0
    if part:
        yield part


def window_of(box: Box, halo: int, height: int, width: int, multiple: int) -> tuple[Box, int, int]:
    """A region's window and its tile's height and width, which are multiples as asked."""
    window = box.grown(halo, height, width)
    top, bottom = _stretched(window.top, window.bottom, height, multiple)
    left, right = _stretched(window.left, window.right, width, multiple)
    tile = (-(-(bottom - top) // multiple) * multiple, -(-(right - left) // multiple) * multiple)
    return replace(window, top=top, bottom=bottom, left=left, right=right), *tile


def _stretched(start: int, stop: int, length: int, multiple: int) -> tuple[int, int]:
    """A span grown to a multiple, downward first, as far as there are pixels."""
    wanted = min(length, -(-(stop - start) // multiple) * multiple)
    stop = min(length, start + wanted)
    return stop - wanted, stop


def batches(jobs: Sequence[Job], pixels: int) -> list[list[Job]]:
    """Group jobs whose tiles have one shape, up to so many pixels a batch (at least one job)."""
    shapes: dict[tuple[int, int], list[Job]] = defaultdict(list)
    for job in jobs:
        shapes[job.shape].append(job)
    found = []
    for (height, width), same in shapes.items():
        size = max(1, pixels // (height * width))
        found += [same[start : start + size] for start in range(0, len(same), size)]
    return found
