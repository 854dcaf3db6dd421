"""Where training patches come from: photographs in memory, or the tiles of stores.

A batch depends on the seed and the step alone: a resumed run, and every process that shares the
work, sees the batches that an unbroken run on one device would have seen.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Bytes, Pair, to_tensor
from mmsr_core.train.prepare.store import Store

AHEAD = 2
"""Batches that are drawn while the device is busy with another."""


class Tiles(Protocol):
    """Something to draw patches from."""

    @property
    def count(self) -> int | None:
        """Tiles of one epoch; None where patches lie anywhere on photographs."""

    @property
    def pixels(self) -> int:
        """LR pixels there are to learn from."""

    def draw(self, step: int, batch: int, patch: int, seed: int) -> tuple[Bytes, Bytes]:
        """The LR patches (n,p,p,3) of a step and their HR (n,s·p,s·p,3), turned at random."""


@dataclass(frozen=True)
class Crops:
    """Patches from anywhere on photographs, each drawn in proportion to its area.

    RecipeError when no photograph is as large as a patch; the smaller ones are left out.
    """

    pairs: Sequence[Pair]
    patch: int
    count: None = None

    def __post_init__(self) -> None:
        if not self._large:
            raise RecipeError(f"no photograph is as large as a patch of {self.patch} LR pixels")

    @cached_property
    def _large(self) -> list[Pair]:
        return [pair for pair in self.pairs if min(pair.lr.shape[:2]) >= self.patch]

    @cached_property
    def _shares(self) -> npt.NDArray[np.float64]:
        areas = np.array([pair.lr.shape[0] * pair.lr.shape[1] for pair in self._large])
        return np.asarray(areas / areas.sum())

    @property
    def pixels(self) -> int:
        """LR pixels of the photographs that are large enough."""
        return sum(pair.lr.shape[0] * pair.lr.shape[1] for pair in self._large)

    def draw(self, step: int, batch: int, patch: int, seed: int) -> tuple[Bytes, Bytes]:
        """Random places on random photographs."""
        rng = np.random.default_rng((seed, step))
        scale = self._large[0].hr.shape[0] // self._large[0].lr.shape[0]
        lrs, hrs = [], []
        for index in rng.choice(len(self._large), size=batch, p=self._shares):
            pair = self._large[index]
            lr, hr = _cut(pair.lr, pair.hr, patch, scale, rng)
            lrs.append(lr)
            hrs.append(hr)
        return np.stack(lrs), np.stack(hrs)


@dataclass(frozen=True)
class Stored:
    """Tiles of stores, every one once an epoch in an order of its own; patches are cut from them.

    `rows[i]` are the tiles of `stores[i]` that are learnt from.
    """

    stores: tuple[Store, ...]
    rows: tuple[npt.NDArray[np.int64], ...]
    _orders: dict[tuple[int, int], npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)

    @property
    def count(self) -> int:
        """Tiles of one epoch."""
        return sum(map(len, self.rows))

    @property
    def pixels(self) -> int:
        """LR pixels of one epoch."""
        return sum(len(r) * s.tile**2 for s, r in zip(self.stores, self.rows, strict=True))

    def draw(self, step: int, batch: int, patch: int, seed: int) -> tuple[Bytes, Bytes]:
        """The next tiles of the epoch's order, a patch from a random place of each."""
        rng = np.random.default_rng((seed, step))
        places = np.arange(step * batch, (step + 1) * batch)
        picked = [self._order(seed, p // self.count)[p % self.count] for p in places.tolist()]
        starts = np.cumsum([0, *map(len, self.rows)])
        lrs, hrs = [], []
        for index in picked:
            which = int(np.searchsorted(starts, index, side="right")) - 1
            store = self.stores[which]
            lr, hr = store.read(self.rows[which][index - starts[which], None])
            lr, hr = _cut(lr[0], hr[0], patch, store.scale, rng)
            lrs.append(lr)
            hrs.append(hr)
        return np.stack(lrs), np.stack(hrs)

    def _order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        key = seed, epoch
        if key not in self._orders:
            for old in [known for known in self._orders if known[1] < epoch - 1]:
                self._orders.pop(old, None)
            self._orders[key] = np.random.default_rng((seed, epoch, 1)).permutation(self.count)
        return self._orders[key]


def _cut(
    lr: Bytes, hr: Bytes, patch: int, scale: int, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """A patch from a random place of a tile or photograph, flipped and turned at random."""
    y = int(rng.integers(lr.shape[0] - patch + 1))
    x = int(rng.integers(lr.shape[1] - patch + 1))
    symmetry = int(rng.integers(8))
    small = _turn(lr[y : y + patch, x : x + patch], symmetry)
    y, x, side = y * scale, x * scale, patch * scale
    return small, _turn(hr[y : y + side, x : x + side], symmetry)


def _turn(array: Bytes, symmetry: int) -> Bytes:
    turned = np.rot90(array, symmetry % 4)
    return turned[::-1] if symmetry >= 4 else turned


@dataclass
class Batches:
    """The batches of steps `first` to `last`, drawn ahead of time; `waited` counts the seconds
    that the device stood still for them."""

    tiles: Tiles
    batch: int
    patch: int
    seed: int
    first: int
    last: int
    waited: float = 0.0

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(step, LR (n,3,p,p), HR (n,3,s·p,s·p)), values in [0,1]."""
        with ThreadPoolExecutor(1) as pool:
            steps = range(self.first, self.last)
            drawn = [pool.submit(self._tensors, step) for step in steps[:AHEAD]]
            for step in steps:
                started = time.perf_counter()
                lr, hr = drawn.pop(0).result()
                self.waited += time.perf_counter() - started
                if step + AHEAD < self.last:
                    drawn.append(pool.submit(self._tensors, step + AHEAD))
                yield step, lr, hr

    def _tensors(self, step: int) -> tuple[Tensor, Tensor]:
        lr, hr = self.tiles.draw(step, self.batch, self.patch, self.seed)
        return to_tensor(lr), to_tensor(hr)
