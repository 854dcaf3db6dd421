"""A store: the tiles that `mmsr prepare` cut of photographs, scored, pruned, mapped into memory.

store.json        what was asked, what came of it; written last: without it, there is no store
index.npz         every tile, the pruned ones too: where it lies and how it scored
shards/N-lr.npy   the kept tiles (k,t,t,3), 8 bits, and in N-hr.npy their HR (k,s·t,s·t,3)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import RecipeError
from mmsr_core.train.run import read_json

FORMAT = 1
STORE = "store.json"
INDEX = "index.npz"
SHARDS = "shards"
UNFINISHED = "unfinished"
"""Folder of what is only needed until the store is finished."""
AGAIN = "delete it and prepare the photographs again"

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StoredPhoto:
    """A photograph that tiles were cut of: its path below IMAGES, with slashes, and the factor
    that it was reduced by first."""

    path: str
    shrink: int


@dataclass(frozen=True, eq=False)
class Index:
    """Every tile (n,): the number of its photograph, its corner in LR pixels, whether it was
    kept, and its scores (n,f)."""

    photo: Integers
    top: Integers
    left: Integers
    kept: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Store:
    """Tiles of `tile` LR pixels a side with their HR, `scale` times as large.

    `sources` are the photographs, `names` the features in the columns of the index's scores,
    `facts` what store.json says. Stored tiles are counted from 0 in the order of the index.
    """

    directory: Path
    scale: int
    tile: int
    sources: tuple[StoredPhoto, ...]
    names: tuple[str, ...]
    index: Index
    facts: Mapping[str, Any]
    shards: tuple[tuple[Bytes, Bytes], ...]
    """LR and HR of each shard, in memory only where they are read."""

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Open a store that `mmsr prepare` finished.

        RecipeError when it is none, unfinished, of a newer format, or damaged.
        """
        directory = Path(directory)
        if not (directory / STORE).is_file():
            if (directory / UNFINISHED).is_dir():
                raise RecipeError(
                    f"{directory}: this store is unfinished; repeat its mmsr prepare to finish it"
                )
            raise RecipeError(
                f"{directory}: not a store, it has no {STORE}; mmsr prepare makes one"
            )
        facts = read_json(directory / STORE)
        if facts.get("format") != FORMAT:
            raise RecipeError(
                f"{directory}: a store of format {facts.get('format')}, and this mmsr reads "
                f"{FORMAT}; upgrade mmsr, or prepare the photographs again"
            )
        try:
            scale, tile = int(facts["scale"]), int(facts["tile"])
            counts = [int(count) for count in facts["shards"]]
            store = cls(
                directory,
                scale,
                tile,
                tuple(StoredPhoto(str(s["path"]), int(s["shrink"])) for s in facts["sources"]),
                tuple(map(str, facts["features"])),
                _read_index(directory / INDEX),
                facts,
                tuple(
                    (
                        _map(shard_path(directory, number, "lr"), count, tile),
                        _map(shard_path(directory, number, "hr"), count, tile * scale),
                    )
                    for number, count in enumerate(counts)
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise RecipeError(f"{directory}: this store is damaged ({reason}); {AGAIN}") from None
        if len(store) != len(store.rows):
            raise RecipeError(f"{directory}: this store's shards and index disagree; {AGAIN}")
        return store

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the shards itself: pickling an array would copy all of it.
        return type(self).open, (self.directory,)

    @cached_property
    def rows(self) -> Integers:
        """Where in the index the stored tiles are."""
        return np.flatnonzero(self.index.kept)

    @cached_property
    def photo_of(self) -> Integers:
        """The number, in `sources`, of each stored tile's photograph."""
        return self.index.photo[self.rows]

    @cached_property
    def _starts(self) -> Integers:
        return np.cumsum([0, *(len(lr) for lr, _ in self.shards)])

    def read(self, rows: Integers) -> tuple[Bytes, Bytes]:
        """The stored tiles of these numbers (k,): LR (k,t,t,3) and HR (k,s·t,s·t,3).

        IndexError for a number below 0 or not below the length.
        """
        side = self.tile * self.scale
        lr = np.empty((len(rows), self.tile, self.tile, 3), np.uint8)
        hr = np.empty((len(rows), side, side, 3), np.uint8)
        found = np.searchsorted(self._starts, rows, side="right") - 1
        for place, (row, shard) in enumerate(zip(rows.tolist(), found.tolist(), strict=True)):
            if not 0 <= row < len(self):
                raise IndexError(f"no stored tile {row}; there are {len(self)}")
            inside = row - int(self._starts[shard])
            lr[place], hr[place] = self.shards[shard][0][inside], self.shards[shard][1][inside]
        return lr, hr


def shard_path(directory: Path, number: int, kind: str) -> Path:
    """Where the `kind`, lr or hr, of a shard lies."""
    return directory / SHARDS / f"{number:04}-{kind}.npy"


def _map(path: Path, count: int, side: int) -> Bytes:
    """A shard's tiles (k,t,t,3), mapped; RecipeError unless the file is whole."""
    try:
        tiles: Bytes = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise RecipeError(f"{path}: this shard of the store is missing; {AGAIN}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it ({error.strerror})") from None
    except ValueError:
        raise RecipeError(f"{path}: this shard of the store is cut short; {AGAIN}") from None
    if tiles.shape != (count, side, side, 3) or tiles.dtype != np.uint8:
        raise RecipeError(f"{path}: this shard is not the store's own; {AGAIN}")
    return tiles


def _read_index(path: Path) -> Index:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Index(**{name: arrays[name] for name in Index.__dataclass_fields__})
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise RecipeError(f"{path}: cannot read the store's index ({error}); {AGAIN}") from None
