"""The recipe: a strict TOML request for one bundle, checked whole before any work starts."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from mmsr_core.errors import PluginError, RecipeError, no_such
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice
from mmsr_core.runtime.bundle import ClassName, Name
from mmsr_core.train.settings import Adversarial, Bands, Fit
from mmsr_core.train.strict import Strict, problem
from mmsr_core.train.tables import Component, Expert, Route, Router, Source, Split, Tiles

ADVERSARY = 32
"""Side of the smallest HR patch that a discriminator has to take."""


class Recipe(Strict):
    """One bundle: its data, its experts in order of cost, its router and its routes."""

    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    scale: Annotated[int, Field(ge=2)]
    seed: int = 0
    start: Path | None = None
    """Another run: an expert begins with the weights that the one of its name has there, if there
    is one."""
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    split: Split = Split()
    tiles: Tiles = Tiles()
    training: Fit = Fit()
    bands: Bands | None = None
    experts: Annotated[tuple[Expert, ...], Field(min_length=1)]
    router: Router = Router()
    routes: Annotated[dict[ClassName, Route], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [expert.name for expert in self.experts]
        if len(set(names)) != len(names):
            raise ValueError("two experts share one name")
        exact = [expert.name for expert in self.experts if expert.quantize is None]
        for expert in self.experts:
            if expert.quantize is not None and expert.quantize not in exact:
                message = no_such("expert", expert.quantize, exact, "to quantize in this recipe")
                raise ValueError(f"{expert.name}: {message}")
        fusers: dict[str, dict[str, Any]] = {}
        for label, route in self.routes.items():
            for name in route.experts:
                if name not in names:
                    message = no_such("expert", name, names, "in this recipe")
                    raise ValueError(f"routes.{label}: {message}")
            if (len(route.experts) > 1) != (route.fuser is not None):
                raise ValueError(f"routes.{label}: two or more experts need a fuser, one has none")
            if route.options and route.fuser is None:
                raise ValueError(f"routes.{label}: options are for a fuser, and it has none")
            if route.fuser and route.options != fusers.setdefault(route.fuser, route.options):
                raise ValueError(f"routes.{label}: {route.fuser} has other options elsewhere")
        if self.stored and not all(source.store for source in self.data):
            raise ValueError("data: either every folder has a store, or none")
        if self.bands is not None:
            self._check_bands(self.bands)
        return self

    @property
    def stored(self) -> bool:
        """Whether the experts learn from stores of tiles."""
        return any(source.store is not None for source in self.data)

    def _check_bands(self, bands: Bands) -> None:
        if not self.stored:
            raise ValueError("bands: class-wise training needs a store; make one by mmsr prepare")
        if len(bands.cuts) != len(self.routes) - 1:
            raise ValueError(
                f"bands: {len(self.routes)} classes need {len(self.routes) - 1} cuts between "
                f"them, not {len(bands.cuts)}"
            )
        for expert in self.exact:
            if expert.tiles == "class" and not self.classes_of(expert):
                raise ValueError(f'{expert.name} answers for no class; give it tiles = "all"')

    def fit_of(self, expert: Expert) -> Fit:
        """The training settings of one expert."""
        return self.training.overridden(expert.training)

    @property
    def exact(self) -> tuple[Expert, ...]:
        """The experts with weights of their own: no 8-bit forms, and none made elsewhere."""
        return tuple(e for e in self.experts if e.quantize is None and e.wraps is None)

    @property
    def wrapped(self) -> tuple[Expert, ...]:
        """The experts that were made elsewhere."""
        return tuple(expert for expert in self.experts if expert.wraps is not None)

    def source_of(self, expert: Expert) -> Expert:
        """The expert whose weights an expert has: itself, or the one it is the 8-bit form of."""
        return next(e for e in self.experts if e.name == (expert.quantize or expert.name))

    def classes_of(self, expert: Expert) -> tuple[str, ...]:
        """The classes whose tiles an expert learns from; none means all tiles."""
        if self.bands is None or expert.tiles == "all":
            return ()
        mine = {e.name for e in self.experts if self.source_of(e) == expert}
        return tuple(label for label, route in self.routes.items() if mine & set(route.experts))

    def check(self, catalog: Catalog) -> None:
        """Raise MmsrError unless every component is installed and takes its options."""
        for expert in self.exact:
            with _located(f"expert {expert.name}"):
                self._check_expert(expert, catalog)
        learning = [e.name for e in self.exact if catalog.backbone(e.backbone).training != "fixed"]
        if learning and not self.split.experts:
            raise RecipeError(f"split.experts is 0, and {learning[0]} has to learn from something")
        for where, table in self.router.extractors:
            with _located(where):
                extractor = catalog.extractor(table.name)
                check_options(table.choice, extractor.build)
                if extractor.pretrain is not None and not table.options.get("weights"):
                    raise RecipeError(
                        f"{table.name} learns beforehand; give it options = {{ weights = … }}, the "
                        f"file that mmsr pretrain {table.name} made"
                    )
        with _located("router.classifier"):
            choice = self.router.classifier.choice
            check_options(choice, catalog.classifier(choice.name).fit, {"data": 0, "seed": 0})
        for label, route in self.routes.items():
            if route.fuser is not None:
                with _located(f"routes.{label}"):
                    choice = Choice(name=route.fuser, options=route.options)
                    check_options(choice, catalog.fuser(route.fuser).build, {"scale": 0})

    def _check_expert(self, expert: Expert, catalog: Catalog) -> None:
        backbone = catalog.backbone(expert.backbone)
        if self.scale not in backbone.scales:
            raise RecipeError(
                f"{backbone.name} has no scale {self.scale}; "
                f"it has {', '.join(map(str, backbone.scales))}"
            )
        if expert.depth not in backbone.depths:
            raise RecipeError(
                f"{backbone.name} has no depth {expert.depth}; "
                f"it has {backbone.depths[0]} to {backbone.depths[-1]}"
            )
        choice = Choice(name=expert.backbone, options=expert.options)
        check_options(choice, backbone.build, {"depth": 0, "scale": 0})
        if backbone.discriminator is not None:
            choice = Choice(name=f"{expert.backbone}'s discriminator", options=expert.discriminator)
            check_options(choice, backbone.discriminator)
        elif expert.discriminator:
            raise RecipeError(f"{expert.backbone} has no discriminator; it trains on a pixel loss")
        settings = self.fit_of(expert)
        if not self.stored and (settings.epochs or settings.adversarial.epochs):
            raise RecipeError("epochs need a store of tiles to count; give steps, or a store")
        side = settings.patch * self.scale
        if backbone.training == "adversarial" and side < ADVERSARY:
            raise RecipeError(
                f"training.patch {settings.patch} makes HR patches of {side} pixels; a "
                f"discriminator needs {ADVERSARY}"
            )


def parse(data: dict[str, Any], origin: str) -> Recipe:
    """A validated recipe; RecipeError names the first key that is wrong, and the nearest right."""
    if data.get("kind") == "codec":
        raise RecipeError(f"{origin}: is a codec's, which makes no upscaler")
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {problem(error, Recipe, TABLES)}") from None
    for index, expert in enumerate(recipe.experts):
        try:
            recipe.fit_of(expert)
        except ValidationError as error:
            where = ("experts", index, "training")
            raise RecipeError(f"{origin}: {problem(error, Recipe, TABLES, where)}") from None
    return recipe


def read_recipe(path: Path) -> Recipe:
    """Read a TOML recipe; RecipeError when it is missing, malformed or wrong."""
    return parse(read_toml(path), str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; RecipeError when it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the recipe ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error})") from None
    except RecursionError:
        raise RecipeError(f"{path}: nested too deeply") from None


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Say in an error which part of the recipe asked."""
    try:
        yield
    except (PluginError, RecipeError) as error:
        raise type(error)(f"{where}: {error}") from None


TABLES: dict[str | int, type[BaseModel]] = {
    "data": Source,
    "split": Split,
    "tiles": Tiles,
    "training": Fit,
    "adversarial": Adversarial,
    "bands": Bands,
    "experts": Expert,
    "router": Router,
    "routes": Route,
    "extractor": Component,
    "beside": Component,
    "classifier": Component,
}
"""The recipe's tables by their keys."""
