"""Photographs in memory, as LR/HR pairs, split by photograph."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
SPLITS: tuple[SplitName, ...] = ("experts", "router", "test")
Bytes = npt.NDArray[np.uint8]
Report = Callable[[str, int, int], None]
"""report(what, done, total): how training tells of its progress; a total of 0 is a remark."""


@dataclass(frozen=True)
class Photo:
    """A file to be read, the factor to reduce it by, and its number, shared by all factors.

    `crop` is the longest side that is kept, in pixels, around the middle.
    """

    path: Path
    shrink: int
    number: int
    crop: int | None = None


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


def find_photos(recipe: Recipe, root: Path) -> dict[SplitName, list[Photo]]:
    """The photographs of every split, drawn with the recipe's seed.

    Each source is split on its own, so that every split sees every source. RecipeError when a
    folder holds no images, when two sources share a file, or when a split stays empty.
    """
    splits: dict[SplitName, list[Photo]] = {"experts": [], "router": [], "test": []}
    rng = np.random.default_rng(recipe.seed)
    seen: set[Path] = set()
    number = 0
    for source in recipe.data:
        try:
            files = image.find_images(root / source.folder)
        except ImageError as error:
            raise RecipeError(f"data folder {source.folder}: {error}") from None
        resolved = {path.resolve() for path in files}
        if shared := seen & resolved:
            raise RecipeError(
                f"data folder {source.folder}: {min(shared)} is in another data folder too; "
                "a photograph may be in one split only"
            )
        seen |= resolved
        order = rng.permutation(len(files))
        edges = np.cumsum([recipe.split.test, recipe.split.router]) * len(files)
        test, router = (int(np.ceil(edge - 1e-9)) for edge in edges)
        for rank, index in enumerate(order):
            name: SplitName = "test" if rank < test else "router" if rank < router else "experts"
            splits[name] += [
                Photo(files[index], shrink, number, source.crop) for shrink in source.shrink
            ]
            number += 1
    for name, found in splits.items():
        if not found and getattr(recipe.split, name):
            raise RecipeError(f"the {name} split is empty: {number} photographs are too few")
    return splits


def load_photos(
    recipe: Recipe, root: Path, report: Report, splits: Collection[SplitName] = SPLITS
) -> Photos:
    """Read, shrink and degrade the photographs of some splits; the others stay empty.

    LR is the antialiased bicubic of HR, 8 bits.
    """
    found_all = find_photos(recipe, root)
    wanted = {name: found for name, found in found_all.items() if name in splits}
    total = sum(len(found) for found in wanted.values())
    loaded: dict[SplitName, tuple[Pair, ...]] = dict.fromkeys(SPLITS, ())
    done = 0
    with ThreadPoolExecutor() as pool:
        for name, found in wanted.items():
            pairs = []
            for pair in pool.map(partial(load_pair, scale=recipe.scale), found):
                done += 1
                report("photographs", done, total)
                pairs.append(pair)
            loaded[name] = tuple(pairs)
    return Photos(loaded["experts"], loaded["router"], loaded["test"])


def load_some(recipe: Recipe, root: Path, split: SplitName, count: int) -> list[Pair]:
    """At most `count` photographs of a split, spread over it."""
    found = find_photos(recipe, root)[split]
    places = np.linspace(0, len(found), min(count, len(found)), endpoint=False).astype(int)
    return [load_pair(found[place], recipe.scale) for place in places]


def load_pair(photo: Photo, scale: int) -> Pair:
    """One LR/HR pair; ImageError when the file is no image, RecipeError when it is too small."""
    hr = image.read(photo.path).rgb
    height, width = hr.shape[0] // photo.shrink, hr.shape[1] // photo.shrink
    if min(height, width) < scale:
        raise RecipeError(
            f"{photo.path}: {hr.shape[1]}x{hr.shape[0]} pixels, reduced by {photo.shrink}, are "
            f"too few for scale {scale}; remove it from the data folder"
        )
    if photo.shrink > 1:
        hr = image.resize(hr, height, width)
    if photo.crop is not None:
        top, left = (max(0, (side - photo.crop) // 2) for side in hr.shape[:2])
        hr = hr[top : top + photo.crop, left : left + photo.crop]
    hr, lr = image.degrade(hr, scale)
    return Pair(image.quantize(lr), image.quantize(hr), photo.number)


def to_tensor(array: Bytes) -> Tensor:
    """(n,h,w,3) bytes → (n,3,h,w) float32 in [0,1]."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(255)
