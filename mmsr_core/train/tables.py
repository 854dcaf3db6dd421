"""The tables of a recipe: data, experts, router, tiles and routes."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mmsr_core.plugin.components import Choice
from mmsr_core.runtime import bundle
from mmsr_core.runtime.bundle import Name, Positive, Share
from mmsr_core.train.settings import Count
from mmsr_core.train.strict import Strict


class Source(Strict):
    """A folder of HR photographs, walked recursively, and whose they are."""

    folder: str
    """Relative to the command's --images."""
    shrink: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    """Each photograph is taken once per factor, reduced by it (JPEG grain goes with it)."""
    source: str = "not stated"
    licence: str = "not stated"
    crop: Count | None = None
    """The middle of each photograph, so many pixels a side at most.  [default: all of it]"""
    store: str | None = None
    """Tiles that `mmsr prepare` made of this folder, relative to --images: the experts learn from
    them; the router and the test need whole photographs, and take them from `folder`."""

    def essence(self) -> dict[str, Any]:
        """What weights depend on, as runs that are older than `crop` noted it."""
        return self.model_dump(mode="json", exclude={"crop"} if self.crop is None else None)


class Split(Strict):
    """Shares of the photographs; no photograph is in two splits.

    The experts' may be 0 where none has anything to learn.
    """

    experts: Share = 0.7
    router: Share = 0.2
    test: Share = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.experts + self.router + self.test - 1) > 1e-6:
            raise ValueError("the three shares must sum to 1")
        if min(self.router, self.test) <= 0:
            raise ValueError("every split needs a share above 0 (experts: or 0 exactly)")
        return self


class Expert(Strict):
    """A backbone at one depth; `training` overrides the recipe's."""

    name: Name
    backbone: str = ""
    depth: Annotated[int, Field(ge=0)] = 0
    options: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    discriminator: dict[str, Any] = Field(default_factory=dict)
    """Options of an adversarial backbone's discriminator."""
    tiles: Literal["class", "all"] | None = None
    """With bands: the tiles of the classes that it answers for (the default), or all of them."""
    quantize: Name | None = None
    """Another expert of the recipe: this one is its 8-bit form, and has nothing of its own."""
    wraps: str | None = None
    """The file of an upscaler made elsewhere: `mmsr wrap` put its graph into the run."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.quantize is None and self.wraps is None and not self.backbone:
            raise ValueError("an expert needs a backbone, or quantize = the name of an expert")
        own = self.model_dump(exclude_defaults=True).keys() - {"name", "quantize", "wraps"}
        if self.wraps is not None and (own or self.quantize):
            raise ValueError(f"{self.name} wraps {self.wraps}; it has nothing else of its own")
        if self.quantize is not None and own:
            raise ValueError(
                f"{self.name} is the 8-bit form of {self.quantize}; leave out {min(own)}"
            )
        return self


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
    beside: tuple[Component, ...] = ()
    """More extractors, whose features follow those of the first."""
    classifier: Component = Component(name="forest-gain")
    epsilon: Positive = 0.05
    """A label is the cheapest route within this many dB of the best."""
    tolerance: Positive = 0.02
    """dB that the default effort may lose on the router split."""
    folds: Annotated[int, Field(ge=2)] = 4
    """Effort is calibrated on predictions for photographs the classifier did not see."""

    @property
    def extractors(self) -> tuple[tuple[str, Component], ...]:
        """The first and those beside it, each with its place in the recipe."""
        beside = (("router.beside", table) for table in self.beside)
        return (("router.extractor", self.extractor), *beside)


class Tiles(bundle.Tiles):
    """How the engine cuts, in LR pixels; the bundle's limits, so that what trains also exports."""

    cell: Annotated[int, Field(ge=8, le=1024)] = 32
    halo: Annotated[int, Field(ge=0, le=1024)] = 8
    seam: Annotated[int, Field(ge=0, le=64)] = 2
