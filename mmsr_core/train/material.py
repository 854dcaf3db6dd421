"""What experts learn from: the photographs of their split, or the tiles of stores, by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Pair, Photo, find_photos, to_tensor
from mmsr_core.train.prepare.store import Store
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.settings import Bands
from mmsr_core.train.sources import Crops, Stored, Tiles
from mmsr_core.train.tables import Expert, Source

SCORED = 256
"""Tiles that are scored at a time."""


@dataclass(frozen=True)
class Banded:
    """The classes of stored tiles: `thresholds` between the bands, and the band of every tile,
    one array for each store."""

    thresholds: tuple[float, ...]
    bands: tuple[npt.NDArray[np.int64], ...]


@dataclass(frozen=True)
class Material:
    """Photographs, or else the stored tiles of the experts' split, and their bands if asked."""

    recipe: Recipe
    images: Path
    """The folder that the recipe's paths are relative to."""
    pairs: Sequence[Pair] = ()
    stored: Stored | None = None
    banded: Banded | None = None

    def of(self, expert: Expert) -> Tiles:
        """What one expert learns from; RecipeError when its classes have no tiles."""
        settings = self.recipe.fit_of(expert)
        if self.stored is None:
            return Crops(self.pairs, settings.patch)
        for store in self.stored.stores:
            if settings.patch > store.tile:
                raise RecipeError(
                    f"{expert.name}: a patch of {settings.patch} LR pixels is larger than the "
                    f"tiles of {store.directory}, {store.tile}; lower training.patch"
                )
        classes = self.recipe.classes_of(expert)
        if self.banded is None or not classes:
            return self.stored
        numbers = [list(self.recipe.routes).index(label) for label in classes]
        rows = tuple(
            mine[np.isin(band, numbers)]
            for mine, band in zip(self.stored.rows, self.banded.bands, strict=True)
        )
        if not any(map(len, rows)):
            cuts = ", ".join(f"{value:g}" for value in self.banded.thresholds)
            raise RecipeError(
                f"{expert.name}: no tile is {' or '.join(classes)}; the bands of "
                f"{self.recipe.bands.feature if self.recipe.bands else ''} are cut at {cuts}"
            )
        return Stored(self.stored.stores, rows)


def stored_material(recipe: Recipe, images: Path, catalog: Catalog) -> Material:
    """The tiles of every source's store whose photographs are in the experts' split.

    RecipeError when a store is none, was made for another scale or reduction, or holds nothing
    of its source's photographs.
    """
    split = find_photos(recipe, images)["experts"]
    stores, rows = [], []
    for source in recipe.data:
        assert source.store is not None
        store = Store.open(images / source.store)
        stores.append(store)
        rows.append(_rows(store, source, split, recipe.scale, images / source.folder))
    stored = Stored(tuple(stores), tuple(rows))
    banded = None if recipe.bands is None else band(stored, recipe.bands, catalog)
    return Material(recipe, images, stored=stored, banded=banded)


def _rows(
    store: Store, source: Source, split: Sequence[Photo], scale: int, folder: Path
) -> npt.NDArray[np.int64]:
    """The stored tiles of a source's photographs in the split."""
    where = f"store {source.store}"
    if store.scale != scale:
        raise RecipeError(f"{where}: was made for scale {store.scale}; this recipe asks {scale}")
    there = {photo.shrink for photo in store.sources}
    if missing := set(source.shrink) - there:
        raise RecipeError(
            f"{where}: has no photographs reduced by {min(missing)}; make it again by "
            f"mmsr prepare --shrink {min(missing)}"
        )
    wanted = {
        (photo.path.relative_to(folder).as_posix(), photo.shrink)
        for photo in split
        if photo.path.is_relative_to(folder)
    }
    mine = np.array([(photo.path, photo.shrink) in wanted for photo in store.sources])
    rows = np.flatnonzero(mine[store.photo_of])
    if not len(rows):
        raise RecipeError(
            f"{where}: holds no tile of the photographs in {source.folder} that experts learn "
            "from; was it made of another folder?"
        )
    return rows


def band(stored: Stored, bands: Bands, catalog: Catalog) -> Banded:
    """Score the LR pixels of every tile and sort them into bands."""
    extractor = band_extractor(bands, catalog)
    scores = []
    for store, rows in zip(stored.stores, stored.rows, strict=True):
        parts = np.split(rows, range(SCORED, len(rows), SCORED))
        with torch.inference_mode():
            found = [extractor(to_tensor(store.read(part)[0]))[:, 0].numpy() for part in parts]
        scores.append(np.concatenate(found))
    thresholds = bands.thresholds
    if thresholds is None:
        quantiles = np.quantile(np.concatenate(scores), bands.cuts)
        thresholds = tuple(map(float, quantiles))
    return Banded(thresholds, tuple(band_of(score, thresholds) for score in scores))


def band_extractor(bands: Bands, catalog: Catalog) -> nn.Module:
    """The network of the one score that bands are cut by; PluginError when there is no such."""
    return catalog.extractor("texture").build(features=(bands.feature,)).eval()


def band_of(scores: npt.NDArray[np.floating], thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """The band of each score; one that is equal to a threshold belongs to the band above it."""
    return np.searchsorted(np.asarray(thresholds, scores.dtype), scores, side="right")
