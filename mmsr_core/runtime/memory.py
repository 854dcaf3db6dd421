"""Memory: how much there is, how much an image needs, and images that wait for each other."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsr_core.errors import ImageError
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.cgroup import CGROUPS, PROC, folders
from mmsr_core.runtime.plan import BLOCK, Block
from mmsr_core.runtime.source import STRIP

SHARE = 0.5
"""Of the free memory, what is used unless somebody says otherwise."""
WORKING = 8192
"""Bytes that an expert holds per LR pixel of its window where its bundle doesn't say: backbones
that convolve at 4× size hold 7 KB with 32 channels, compact's deepest holds 1.1 KB."""
PROCESS = 224 * 2**20
"""Bytes of Python, its packages and an opened bundle."""
ACROSS = 384 * 2**20
"""Bytes worth spending on what is as wide as the image: beyond that, blocks are lower. They have
half as many cells, too: on long windows of many shapes ONNX Runtime's arena holds twice what any
of them needs."""
_AREAS = tuple(BLOCK.rows * BLOCK.columns >> halvings for halvings in range(1, 9))
_BLOCKS = tuple(
    Block(rows, area // rows) for area in _AREAS for rows in range(min(BLOCK.rows, area), 0, -1)
)


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that this process may still take: what the machine has free, within its cgroups.

    Where neither can be read (not on Linux): 2 GiB.
    """
    left = (_left(version, folder) for version, folder in folders("memory", proc, cgroups))
    found = [_available(proc / "meminfo"), *left]
    return min((size for size in found if size is not None), default=2 * 2**30)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in values else None


def _left(version: int, folder: Path) -> int | None:
    """What a cgroup leaves, its file cache counted as free; None when it doesn't limit it."""
    names = {1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")}
    limit, used, cache = names.get(version, ("max", "current", "inactive_file"))
    try:
        most, current = (int((folder / f"memory.{name}").read_text()) for name in (limit, used))
        counts = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
    except (OSError, ValueError):  # no such cgroup, or "max": no limit
        return None
    return max(0, most - current + int(counts.get(cache, 0)))


def needed(manifest: Manifest, height: int, width: int, halo: int, block: Block) -> int:
    """Bytes that the engine holds beside input and output when it plans an image of LR height
    and width in such blocks: a band of the image and of the canvas, an expert at work on one
    block with its halo, and its answers."""
    rows, columns = _window(manifest, height, width, halo, block)
    answers = max(len(route.experts) for route in manifest.routes.values())
    working = max(expert.memory or WORKING for expert in manifest.experts)
    alone = rows * columns * (working + answers * 12 * manifest.scale**2)
    return int(_across(manifest, height, width, halo, block) + alone)


def _window(
    manifest: Manifest, height: int, width: int, halo: int, block: Block
) -> tuple[int, int]:
    """LR rows and columns that an expert sees of a whole block."""
    cell = manifest.tiles.cell
    return min(height, block.rows * cell + 2 * halo), min(width, block.columns * cell + 2 * halo)


def _across(manifest: Manifest, height: int, width: int, halo: int, block: Block) -> int:
    """Bytes of the bands, which are as wide as the image."""
    rows = block.rows * manifest.tiles.cell
    canvas = min(height, rows + 2 * (halo - manifest.tiles.halo))
    window = min(height, rows + 2 * (halo + STRIP))
    return 12 * width * (canvas * manifest.scale**2 + window)


def largest_block(manifest: Manifest, height: int, width: int, halo: int, memory: int) -> Block:
    """What is planned together within so many bytes: the usual, or else, of what fits, where least
    halo is computed."""

    def price(block: Block) -> tuple[int, float, int]:
        excess = max(0, _across(manifest, height, width, halo, block) - ACROSS)
        margin = 2 * halo / manifest.tiles.cell
        halos = (1 + margin / block.rows) * (1 + margin / block.columns)
        return excess, halos, -block.rows * block.columns

    def fits(block: Block) -> bool:
        return needed(manifest, height, width, halo, block) <= memory

    if fits(BLOCK) and not price(BLOCK)[0]:  # none has less: nearly every image ends here
        return BLOCK
    return min(filter(fits, _BLOCKS), key=price, default=Block(1, 1))


class Budget:
    """Bytes that images in flight share: each takes its part, waiting for others to be done."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._left = total
        self._changed = threading.Condition()

    @contextmanager
    def part(self, size: int, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold `size` bytes; ImageError when there will never be so many.

        `waiting` is called now and then while they are not free; what it raises ends the wait.
        """
        if size > self.total:
            raise ImageError(
                f"needs about {size / 2**20:.0f} MiB, {self.total / 2**20:.0f} MiB are to be used; "
                "raise --memory, or cut the image into parts"
            )
        with self._changed:
            while not self._changed.wait_for(lambda: self._left >= size, timeout=0.2):
                waiting()
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()
