"""Writing a store's shards: many photographs at a time, each tile at its place."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsr_core.train.data import Bytes
from mmsr_core.train.prepare.store import UNFINISHED, shard_path

LARGE = 64 * 2**20
"""Bytes that a shard should have."""
MOST = 256
"""Shards that a store should have at most: each keeps two files open while it is read."""


@dataclass(frozen=True)
class Shard:
    """The photographs `first` to `last`, the end excluded; `counts` of tiles from each."""

    number: int
    first: int
    counts: tuple[int, ...]

    @property
    def last(self) -> int:
        """The photograph after the last."""
        return self.first + len(self.counts)

    @property
    def tiles(self) -> int:
        """Tiles from all its photographs."""
        return sum(self.counts)


def plan(counts: Sequence[int], tile_bytes: int) -> list[Shard]:
    """Divide photographs, in their order, into shards; a photograph is never divided.

    `counts` of kept tiles, one or more in all. A shard is smaller than LARGE, or than 1 / MOST
    of everything if that is more, unless a single photograph is larger. None is empty.
    """
    limit = max(LARGE // tile_bytes, -(-sum(counts) // MOST), 1)
    shards: list[Shard] = []
    first = tiles = 0
    for photo, count in enumerate(counts):
        if tiles and count and tiles + count > limit:
            shards.append(Shard(len(shards), first, tuple(counts[first:photo])))
            first, tiles = photo, 0
        tiles += count
    return [*shards, Shard(len(shards), first, tuple(counts[first:]))]


@dataclass(frozen=True)
class Writer:
    """A shard's two files under construction; photographs may come in any order, in threads.

    Each process has files of its own, so that two that make one store don't spoil it.
    """

    directory: Path
    shard: Shard
    tile: int
    scale: int

    @property
    def sides(self) -> dict[str, int]:
        """Sides of the tiles, in pixels, of each file."""
        return {"lr": self.tile, "hr": self.tile * self.scale}

    @property
    def finished(self) -> bool:
        """Whether both files are complete."""
        return all(
            shard_path(self.directory, self.shard.number, kind).exists() for kind in self.sides
        )

    def begin(self) -> None:
        """Make both files anew."""
        for kind in self.sides:
            self._part(kind).write_bytes(self._header(kind))

    def write(self, photo: int, lr: Bytes, hr: Bytes) -> None:
        """Put a photograph's tiles in their place."""
        before = sum(self.shard.counts[: photo - self.shard.first])
        for kind, tiles in (("lr", lr), ("hr", hr)):
            with self._part(kind).open("r+b") as file:
                file.seek(len(self._header(kind)) + before * self.sides[kind] ** 2 * 3)
                file.write(tiles.data)

    def finish(self) -> None:
        """Give both files their names: every photograph is there."""
        for kind in self.sides:
            os.replace(self._part(kind), shard_path(self.directory, self.shard.number, kind))

    def abandon(self) -> None:
        """Delete what is not finished."""
        for kind in self.sides:
            self._part(kind).unlink(missing_ok=True)

    def _part(self, kind: str) -> Path:
        return self.directory / UNFINISHED / f"{self.shard.number:04}-{kind}.{os.getpid()}.part"

    def _header(self, kind: str) -> bytes:
        side = self.sides[kind]
        buffer = io.BytesIO()
        facts = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
            "fortran_order": False,
            "shape": (self.shard.tiles, side, side, 3),
        }
        np.lib.format.write_array_header_1_0(buffer, facts)
        return buffer.getvalue()
