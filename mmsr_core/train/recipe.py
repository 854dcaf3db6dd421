"""The recipe: a strict TOML request for one bundle, checked whole before any work starts."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmsr_core.errors import PluginError, RecipeError, no_such
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice
from mmsr_core.runtime import bundle
from mmsr_core.runtime.bundle import ClassName, Name, Positive, Share

Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Strict):
    """A folder of HR photographs, walked recursively, and whose they are."""

    folder: str
    """Relative to the command's --images."""
    shrink: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    """Each photograph is taken once per factor, reduced by it (JPEG grain goes with it)."""
    source: str = "not stated"
    licence: str = "not stated"


class Split(_Strict):
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


class Fit(_Strict):
    """How a backbone is trained: L1, Adam, cosine to zero after a short warm-up, EMA weights."""

    steps: Annotated[int, Field(ge=0)] = 10_000
    batch: Count = 16
    patch: Annotated[int, Field(ge=8)] = 48
    """Side of the LR patches, in pixels."""
    rate: Positive = 1e-3
    warmup: Annotated[int, Field(ge=0)] = 200
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """As Lightning Fabric names it."""
    save_every: Count = 500


class Expert(_Strict):
    """A backbone at one depth; `training` overrides the recipe's."""

    name: Name
    backbone: str
    depth: Annotated[int, Field(ge=0)] = 0
    options: dict[str, Any] = {}
    training: dict[str, Any] = {}


class Component(_Strict):
    """A component by name, with the options it is built with."""

    name: str
    options: dict[str, Any] = {}

    @property
    def choice(self) -> Choice:
        """The same in the plugin side's words."""
        return Choice(name=self.name, options=self.options)


class Route(_Strict):
    """The experts that answer for a class, and the fuser that joins two or more."""

    experts: Annotated[tuple[str, ...], Field(min_length=1)]
    fuser: str | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"experts": (value,)} if isinstance(value, str) else value


class Router(_Strict):
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


class Recipe(_Strict):
    """One bundle: its data, its experts in order of cost, its router and its routes."""

    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    scale: Annotated[int, Field(ge=2)]
    seed: int = 0
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    split: Split = Split()
    tiles: Tiles = Tiles()
    training: Fit = Fit()
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
        return self

    def fit_of(self, expert: Expert) -> Fit:
        """The training settings of one expert."""
        return Fit.model_validate(self.training.model_dump() | expert.training)

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
        if backbone.training == "adversarial":
            raise RecipeError(
                f"{backbone.name} trains adversarially, which this mmsr can't do yet; choose a "
                "backbone that trains on a pixel loss"
            )
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


def parse(data: dict[str, Any], origin: str) -> Recipe:
    """A validated recipe; RecipeError names the first key that is wrong, and the nearest right."""
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_problem(error)}") from None
    for index, expert in enumerate(recipe.experts):
        try:
            recipe.fit_of(expert)
        except ValidationError as error:
            where = ("experts", index, "training")
            raise RecipeError(f"{origin}: {_problem(error, where)}") from None
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


def _problem(error: ValidationError, within: tuple[str | int, ...] = ()) -> str:
    errors = error.errors(include_url=False)
    # A misspelt key may also be a missing one: the misspelling says more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    parts = [*within, *first["loc"]]
    where = ".".join(map(str, parts))
    if first["type"] == "extra_forbidden":
        *parents, key = parts
        table = ".".join(map(str, parents)) or "recipe"
        return no_such("key", str(key), _keys_at(parents), f"[{table}] takes")
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _keys_at(parents: list[str | int]) -> list[str]:
    """The keys of the table that lies at `parents`; list indices and class names lie between."""
    tables: dict[str | int, type[BaseModel]] = {
        "data": Source,
        "split": Split,
        "tiles": Tiles,
        "training": Fit,
        "experts": Expert,
        "router": Router,
        "routes": Route,
        "extractor": Component,
        "classifier": Component,
    }
    known = [tables[parent] for parent in parents if parent in tables]
    return list((known[-1] if known else Recipe).model_fields)
