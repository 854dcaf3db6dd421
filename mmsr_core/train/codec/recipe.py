"""A codec's recipe: a strict TOML request for one codec bundle."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.runtime.bundle import Name, Positive, Share
from mmsr_core.train.settings import Count, Phase, Steps, Weight
from mmsr_core.train.strict import Strict, problem
from mmsr_core.train.tables import Component, Source

KIND = "codec"
FACTOR = 8
"""Pixels per code along each side."""


class CodecFit(Phase):
    """How a codec is trained: Adam, a rate that is held and then falls to zero, EMA weights.

    An epoch is as many patches as there are photographs.
    """

    default_steps: ClassVar[int] = 100_000

    batch: Count = 16
    patch: Annotated[int, Field(ge=FACTOR, multiple_of=FACTOR)] = 256
    """Side of the patches, in pixels."""
    cut: Literal["crop", "rescale"] = "crop"
    """crop: patches from random places; rescale: whole photographs, squeezed into a patch, as in
    the paper."""
    rate: Positive = 2e-5
    hold: Share = 0.5
    """The share of the steps after which the rate falls, linearly, to zero."""
    warmup: Steps = 0
    clip: Weight = 0.0
    """The largest norm of a gradient; 0: any."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """As Lightning Fabric names it."""
    save_every: Count = 500

    def essence(self) -> dict[str, Any]:
        """What the weights depend on."""
        return self.model_dump(exclude={"save_every"})


class CodecRecipe(Strict):
    """One codec: its data, its network and its training."""

    kind: Literal["codec"]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    seed: int = 0
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    held: Count = 16
    """Photographs that are not learnt from: the bundle's table of qualities is measured on them."""
    start: Path | None = None
    """The weights.pt of another run to begin from; what they lack begins as it would without."""
    codec: Component = Component(name="resgdn")
    training: CodecFit = CodecFit()

    @model_validator(mode="after")
    def _of_photographs(self) -> Self:
        if any(source.store is not None for source in self.data):
            raise ValueError("data: a codec learns from whole photographs; leave out the store")
        return self

    def check(self, catalog: Catalog) -> None:
        """Raise MmsrError unless the codec is installed and takes its options."""
        check_options(self.codec.choice, catalog.codec(self.codec.name).build)


def parse_codec(data: dict[str, Any], origin: str) -> CodecRecipe:
    """A validated recipe; RecipeError names the first key that is wrong, and the nearest right."""
    try:
        return CodecRecipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {problem(error, CodecRecipe, TABLES)}") from None


def is_codec_run(directory: Path) -> bool:
    """Whether a directory is a run that a codec's recipe made."""
    try:
        recipe = json.loads((directory / "recipe.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(recipe, dict) and recipe.get("kind") == KIND


TABLES: dict[str | int, type[BaseModel]] = {
    "data": Source,
    "codec": Component,
    "training": CodecFit,
}
"""The recipe's tables by their keys."""
