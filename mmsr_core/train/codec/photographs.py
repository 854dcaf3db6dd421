"""What a codec learns from: photographs in memory, patches cut from them."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.runtime import image
from mmsr_core.train.codec.recipe import FACTOR, CodecRecipe
from mmsr_core.train.data import Bytes, Report, to_tensor
from mmsr_core.train.sources import AHEAD

MEASURED = 176
"""The shortest side that MS-SSIM has a value for."""


@dataclass(frozen=True)
class Photograph:
    """A file, and the factors that it is taken at."""

    path: Path
    shrinks: tuple[int, ...]


@dataclass(frozen=True)
class Photographs:
    """Images (h,w,3) of 8 bits: those learnt from, and those that the codec is measured on."""

    learnt: tuple[Bytes, ...]
    held: tuple[Bytes, ...]


def find_photographs(recipe: CodecRecipe, root: Path) -> tuple[list[Photograph], list[Photograph]]:
    """The files learnt from and those held back, drawn with the recipe's seed.

    RecipeError when a folder holds no images, two share a file, or none is left to learn from.
    """
    found: list[Photograph] = []
    for source in recipe.data:
        try:
            files = image.find_images(root / source.folder)
        except ImageError as error:
            raise RecipeError(f"data folder {source.folder}: {error}") from None
        found += [Photograph(path, source.shrink) for path in files]
    places = [photograph.path.resolve() for photograph in found]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise RecipeError(f"{twice} is in two data folders; a photograph may be in one only")
    if len(found) <= recipe.held:
        raise RecipeError(
            f"{len(found)} photographs, {recipe.held} of them held back, leave none to learn "
            "from; lower held, or add photographs"
        )
    order = np.random.default_rng(recipe.seed).permutation(len(found))
    shuffled = [found[index] for index in order]
    return shuffled[recipe.held :], shuffled[: recipe.held]


def load_photographs(recipe: CodecRecipe, root: Path, report: Report) -> Photographs:
    """Read them all; of those learnt from, what is smaller than a patch is left out.

    Those held back are taken at their first factor. RecipeError when none is large enough.
    """
    learnt, held = find_photographs(recipe, root)
    asked = [(one.path, shrink) for one in learnt for shrink in one.shrinks]
    asked += [(one.path, one.shrinks[0]) for one in held]
    images = []
    with ThreadPoolExecutor() as pool:
        for done, read in enumerate(pool.map(lambda one: _read(*one), asked), 1):
            images.append(read)
            report("photographs", done, len(asked))
    patch, cut = recipe.training.patch, recipe.training.cut
    least = patch if cut == "crop" else 1
    large = [one for one in images[: -len(held)] if min(one.shape[:2]) >= least]
    measured = [one for one in images[-len(held) :] if min(one.shape[:2]) >= MEASURED]
    if not large:
        raise RecipeError(f"no photograph is as large as a patch of {patch} pixels")
    if not measured:
        raise RecipeError(f"no photograph held back has sides of {MEASURED} pixels; raise held")
    if cut == "rescale":
        large = [image.quantize(image.resize(image.to_float(one), patch, patch)) for one in large]
    return Photographs(tuple(large), tuple(measured))


def whole_cells(photograph: Bytes, most: int) -> Bytes:
    """The middle of a photograph: whole cells of 8×8, at most `most` pixels a side."""
    sides = [min(side, most) // FACTOR * FACTOR for side in photograph.shape[:2]]
    (top, left) = ((n - m) // 2 for n, m in zip(photograph.shape[:2], sides, strict=True))
    return photograph[top : top + sides[0], left : left + sides[1]]


@dataclass
class Patches:
    """Batches of patches of steps `first` to `last`, drawn ahead of time; a batch depends on the
    seed and the step alone. `waited` counts the seconds that the device stood still for them."""

    photographs: Sequence[Bytes]
    batch: int
    patch: int
    seed: int
    first: int
    last: int
    waited: float = 0.0

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """(step, patches (n,3,p,p) in [0,1])."""
        areas = np.array([one.shape[0] * one.shape[1] for one in self.photographs], float)
        shares = areas / areas.sum()
        with ThreadPoolExecutor(1) as pool:
            steps = range(self.first, self.last)
            drawn = [pool.submit(self._draw, step, shares) for step in steps[:AHEAD]]
            for step in steps:
                started = time.perf_counter()
                patches = drawn.pop(0).result()
                self.waited += time.perf_counter() - started
                if step + AHEAD < self.last:
                    drawn.append(pool.submit(self._draw, step + AHEAD, shares))
                yield step, patches

    def _draw(self, step: int, shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Tensor:
        rng = np.random.default_rng((self.seed, step))
        patches = []
        for index in rng.choice(len(self.photographs), size=self.batch, p=shares):
            photograph = self.photographs[index]
            y, x = (int(rng.integers(side - self.patch + 1)) for side in photograph.shape[:2])
            cut = np.rot90(photograph[y : y + self.patch, x : x + self.patch], int(rng.integers(4)))
            patches.append(cut[::-1] if rng.integers(2) else cut)
        return to_tensor(np.stack(patches))


def _read(path: Path, shrink: int) -> Bytes:
    rgb = image.read(path).rgb
    height, width = rgb.shape[0] // shrink, rgb.shape[1] // shrink
    if min(height, width) < 1:
        raise RecipeError(f"{path}: too small to be reduced by {shrink}; remove it from the data")
    if shrink > 1:
        rgb = image.resize(rgb, height, width)
    return image.quantize(rgb)
