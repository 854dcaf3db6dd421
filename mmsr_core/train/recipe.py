"""The recipe: a strict TOML request for one bundle, checked whole before any work starts."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from mmsr_core.errors import PluginError, RecipeError, no_such
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice
from mmsr_core.runtime import bundle
from mmsr_core.runtime.bundle import ClassName, Name, Positive, Share
from mmsr_core.train.settings import Adversarial, Bands, Count, Fit
from mmsr_core.train.strict import Strict, problem

ADVERSARY = 32
"""Side of the smallest HR patch that a discriminator has to take."""


class Source(Strict):
    """A folder of HR photographs, walked recursively, and whose they are."""

    folder: str
    """Relative to the command's --images."""
    shrink: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    """Each photograph is taken once per factor, reduced by it (JPEG grain goes with it)."""
    source: str = "not stated"
    licence: str = "not stated"
    store: str | None = None
    """Tiles that `mmsr prepare` made of this folder, relative to --images: the experts learn from
    them; the router and the test need whole photographs, and take them from `folder`."""


class Split(Strict):
    """Shares of the photographs; no photograph is in two splits."""

    experts: Share = 0.7
    router: Share = 0.2
    test: Share = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.experts + self.router + self.test - 1) > 1e-6:
            raise ValueError("the three shares must sum to 1")
        if min(self.experts, self.router, self.test) <= 0:
            raise ValueError("every split needs a share above 0")
        return self


class Expert(Strict):
    """A backbone at one depth; `training` overrides the recipe's."""

    name: Name
    backbone: str
    depth: Annotated[int, Field(ge=0)] = 0
    options: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    discriminator: dict[str, Any] = Field(default_factory=dict)
    """Options of an adversarial backbone's discriminator."""
    tiles: Literal["class", "all"] | None = None
    """With bands: the tiles of the classes that it answers for (the default), or all of them."""


class Component(Strict):
    """A component by name, with the options it is built with."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def choice(self) -> Choice:
        """The same in the plugin side's words."""
        return Choice(name=self.name, options=self.options)


class Route(Strict):
    """The experts that answer for a class, and the fuser that joins two or more."""

    experts: Annotated[tuple[str, ...], Field(min_length=1)]
    fuser: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"experts": (value,)} if isinstance(value, str) else value


class Router(Strict):
    """What scores cells, and how its labels are measured."""

    extractor: Component = Component(name="texture")
    classifier: Component = Component(name="forest-gain")
    epsilon: Positive = 0.05
    """A label is the cheapest route within this many dB of the best."""
    tolerance: Positive = 0.02
    """dB that the default effort may lose on the router split."""
    folds: Annotated[int, Field(ge=2)] = 4
    """Effort is calibrated on predictions for photographs the classifier did not see."""


class Tiles(bundle.Tiles):
    """How the engine cuts, in LR pixels; the bundle's limits, so that what trains also exports."""

    cell: Annotated[int, Field(ge=8, le=1024)] = 32
    halo: Annotated[int, Field(ge=0, le=1024)] = 8
    seam: Annotated[int, Field(ge=0, le=64)] = 2


class Recipe(Strict):
    """One bundle: its data, its experts in order of cost, its router and its routes."""

    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    scale: Annotated[int, Field(ge=2)]
    seed: int = 0
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
        for expert in self.experts:
            if expert.tiles == "class" and not self.classes_of(expert):
                raise ValueError(f'{expert.name} answers for no class; give it tiles = "all"')

    def fit_of(self, expert: Expert) -> Fit:
        """The training settings of one expert."""
        return self.training.overridden(expert.training)

    def classes_of(self, expert: Expert) -> tuple[str, ...]:
        """The classes whose tiles an expert learns from; none means all tiles."""
        if self.bands is None or expert.tiles == "all":
            return ()
        return tuple(label for label, route in self.routes.items() if expert.name in route.experts)

    def check(self, catalog: Catalog) -> None:
        """Raise MmsrError unless every component is installed and takes its options."""
        for expert in self.experts:
            with _located(f"expert {expert.name}"):
                self._check_expert(expert, catalog)
        with _located("router.extractor"):
            choice = self.router.extractor.choice
            check_options(choice, catalog.extractor(choice.name).build)
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
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
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
    "classifier": Component,
}
"""The recipe's tables by their keys."""
