"""How a backbone is trained: classes of tiles, the pixel phase and the GAN phase."""

import math
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mmsr_core.runtime.bundle import Positive
from mmsr_core.train.strict import Strict

Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]


class Bands(Strict):
    """Classes of tiles by one score of their LR pixels, for class-wise training (M19.2, M19.4).

    The bands are the recipe's classes, in order; `thresholds` lie between them, or `quantiles` of
    the training tiles.
    """

    feature: str = "tvat"
    """A feature of the extractor `texture`."""
    thresholds: tuple[float, ...] | None = None
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if (self.thresholds is None) == (self.quantiles is None):
            raise ValueError("bands need thresholds or quantiles, one of the two")
        cuts = self.cuts
        if any(low >= high for low, high in pairwise(cuts)):
            raise ValueError(f"{list(cuts)} have to rise")
        return self

    @property
    def cuts(self) -> tuple[float, ...]:
        """The thresholds or the quantiles, whichever there are."""
        return self.thresholds or self.quantiles or ()


class Phase(Strict):
    """A length, in steps, or in passes over the tiles of a store."""

    default_steps: ClassVar[int] = 10_000

    steps: Steps | None = None
    epochs: Positive | None = None
    """In place of `steps`: it needs a store, which has a number of tiles."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("a length is given in steps or in epochs, not in both")
        return self

    def length(self, tiles: int | None, batch: int) -> int:
        """Steps, of so many tiles a batch; `tiles` is None for photographs without a store."""
        if self.epochs is None:
            return self.default_steps if self.steps is None else self.steps
        assert tiles is not None, "the recipe checks that epochs have a store"
        return max(1, math.ceil(self.epochs * tiles / batch))


class Adversarial(Phase):
    """The GAN phase: pixel·L1 + perceptual·features + weight·adversarial (ESRGAN, Eq. 3); without
    a feature network L1 has the perceptual loss's weight.

    Only backbones that train adversarially have one; it begins where the pixel phase ends.
    """

    default_steps: ClassVar[int] = 5_000

    rate: Positive = 1e-4
    pixel: Weight = 1e-2
    perceptual: Weight = 1.0
    weight: Weight = 5e-3
    features: str = "vgg19"
    """The feature network of the perceptual loss: vgg19, an encoder or weights file, or none."""


class Fit(Phase):
    """The pixel phase: Adam, cosine to zero after a short warm-up, EMA weights."""

    loss: Literal["l1", "l2"] = "l1"
    """The mean of absolute differences, or of squared ones, to which busy tiles add most."""
    batch: Count = 16
    patch: Annotated[int, Field(ge=8)] = 48
    """Side of the LR patches, in pixels."""
    accumulate: Count = 1
    """Parts that a batch is computed in, one after the other, for want of memory."""
    devices: Count = 1
    """GPUs (or processes on a CPU) that share every batch."""
    rate: Positive = 1e-3
    warmup: Steps = 200
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """As Lightning Fabric names it."""
    save_every: Count = 500
    adversarial: Adversarial = Adversarial()

    @model_validator(mode="after")
    def _even_parts(self) -> Self:
        parts = self.accumulate * self.devices
        if self.batch % parts:
            raise ValueError(
                f"a batch of {self.batch} can't be cut into accumulate × devices = {parts} parts"
            )
        return self

    def overridden(self, changes: dict[str, Any]) -> Self:
        """These settings with some changed, the GAN phase's one by one; ValidationError."""
        mine = self.model_dump(exclude_unset=True)
        theirs = dict(changes)
        if isinstance(theirs.get("adversarial"), dict):
            theirs["adversarial"] = _merged(mine.get("adversarial", {}), theirs["adversarial"])
        return type(self).model_validate(_merged(mine, theirs))

    def essence(self) -> dict[str, Any]:
        """What the weights depend on, as runs that are older than `loss` noted it: all but how the
        work is cut up and kept."""
        old = {"loss"} if self.loss == "l1" else set()
        return self.model_dump(exclude={"devices", "save_every"} | old)


def _merged(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    # A length replaces a length, whichever way either is given.
    dropped = {"steps", "epochs"} if {"steps", "epochs"} & set(theirs) else set()
    return {key: value for key, value in mine.items() if key not in dropped} | theirs
