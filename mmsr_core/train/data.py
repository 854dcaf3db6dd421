"""Photographs in memory, as LR/HR pairs, split by photograph and cut into random patches."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.runtime import image
from mmsr_core.train.recipe import Recipe

SplitName = Literal["experts", "router", "test"]
Bytes = npt.NDArray[np.uint8]
Report = Callable[[str, int, int], None]
"""report(what, done, total): how training tells of its progress."""


@dataclass(frozen=True)
class Pair:
    """One photograph: `lr` (h,w,3) and `hr` (s·h,s·w,3), 8 bits; `photo` numbers its file."""

    lr: Bytes
    hr: Bytes
    photo: int


@dataclass(frozen=True)
class Photos:
    """The pairs of every split."""

    experts: tuple[Pair, ...]
    router: tuple[Pair, ...]
    test: tuple[Pair, ...]


def find_photos(recipe: Recipe, root: Path) -> dict[SplitName, list[tuple[Path, int, int]]]:
    """(file, shrink, number) of every pair, split by photograph with the recipe's seed.

    Each source is split on its own, so that every split sees every source.
    """
    splits: dict[SplitName, list[tuple[Path, int, int]]] = {"experts": [], "router": [], "test": []}
    rng = np.random.default_rng(recipe.seed)
    number = 0
    for source in recipe.data:
        try:
            files = image.find_images(root / source.folder)
        except ImageError as error:
            raise RecipeError(f"data folder {source.folder}: {error}") from None
        order = rng.permutation(len(files))
        edges = np.cumsum([recipe.split.test, recipe.split.router]) * len(files)
        test, router = (int(np.ceil(edge - 1e-9)) for edge in edges)
        for rank, index in enumerate(order):
            name: SplitName = "test" if rank < test else "router" if rank < router else "experts"
            for shrink in source.shrink:
                splits[name].append((files[index], shrink, number))
            number += 1
    for name, found in splits.items():
        if not found:
            raise RecipeError(f"the {name} split is empty: {number} photographs are too few")
    return splits


def load_photos(recipe: Recipe, root: Path, report: Report) -> Photos:
    """Read, shrink and degrade every photograph: LR is the antialiased bicubic of HR, 8 bits."""
    splits = find_photos(recipe, root)
    total = sum(len(found) for found in splits.values())
    loaded: dict[SplitName, tuple[Pair, ...]] = {}
    done = 0
    with ThreadPoolExecutor() as pool:
        for name, found in splits.items():
            pairs = []
            for pair in pool.map(lambda item: load_pair(*item, recipe.scale), found):
                done += 1
                report("photographs", done, total)
                pairs.append(pair)
            loaded[name] = tuple(pairs)
    return Photos(loaded["experts"], loaded["router"], loaded["test"])


def load_pair(path: Path, shrink: int, number: int, scale: int) -> Pair:
    """One LR/HR pair."""
    hr = image.read(path).rgb
    if shrink > 1:
        hr = image.resize(hr, max(1, hr.shape[0] // shrink), max(1, hr.shape[1] // shrink))
    hr, lr = image.degrade(hr, scale)
    return Pair(image.quantize(lr), image.quantize(hr), number)


def sample(
    pairs: Sequence[Pair], patch: int, batch: int, scale: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Random LR patches (n,3,p,p) and their HR (n,3,s·p,s·p), each flipped and turned at random.

    A photograph is drawn in proportion to its area. Values in [0,1].
    """
    area = np.array([pair.lr.shape[0] * pair.lr.shape[1] for pair in pairs], dtype=np.float64)
    lrs, hrs = [], []
    for index in rng.choice(len(pairs), size=batch, p=area / area.sum()):
        pair = pairs[index]
        y = int(rng.integers(pair.lr.shape[0] - patch + 1))
        x = int(rng.integers(pair.lr.shape[1] - patch + 1))
        symmetry = int(rng.integers(8))
        lrs.append(_turn(pair.lr[y : y + patch, x : x + patch], symmetry))
        y, x, side = y * scale, x * scale, patch * scale
        hrs.append(_turn(pair.hr[y : y + side, x : x + side], symmetry))
    return to_tensor(np.stack(lrs)), to_tensor(np.stack(hrs))


def to_tensor(array: Bytes) -> Tensor:
    """(n,h,w,3) bytes → (n,3,h,w) float32 in [0,1]."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(255)


def _turn(array: Bytes, symmetry: int) -> Bytes:
    turned = np.rot90(array, symmetry % 4)
    return turned[::-1] if symmetry >= 4 else turned
