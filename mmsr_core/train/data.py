"""Photographs in memory, as LR/HR pairs, split by photograph and cut into random patches."""

from collections.abc import Callable, Sequence
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
Bytes = npt.NDArray[np.uint8]
Report = Callable[[str, int, int], None]
"""report(what, done, total): how training tells of its progress."""


@dataclass(frozen=True)
class Photo:
    """A file to be read, the factor to reduce it by, and its number, shared by all factors."""

    path: Path
    shrink: int
    number: int


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
            splits[name] += [Photo(files[index], shrink, number) for shrink in source.shrink]
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
            for pair in pool.map(partial(load_pair, scale=recipe.scale), found):
                done += 1
                report("photographs", done, total)
                pairs.append(pair)
            loaded[name] = tuple(pairs)
    return Photos(loaded["experts"], loaded["router"], loaded["test"])


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
    hr, lr = image.degrade(hr, scale)
    return Pair(image.quantize(lr), image.quantize(hr), photo.number)


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
