"""What a pretraining is asked for; everything that its weights depend on."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmsr_core.errors import RecipeError, no_such
from mmsr_massrl.encoder import Config
from mmsr_massrl.policies import Policy, integrated
from mmsr_massrl.sets import CROPS, named_policy

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Pretraining by BYOL: the defaults are the paper's, for the sizes of the encoder.

    What is None is chosen by the encoder: see `chosen`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    encoder: str = "tile"
    width: float = 1.0
    stem: Literal["small", "large"] = "small"
    policy: tuple[str, ...] = ()
    """Names of policies, or files, whose strategies are integrated."""
    crop: Literal["uniform", "inception", "window"] | None = None
    """In place of the policy's own crop."""
    views: Annotated[int, Field(ge=2)] = 2
    side: Annotated[int, Field(ge=8)] | None = None
    """Of a view, in pixels."""
    cut: Annotated[int, Field(ge=0)] | None = None
    """Side of the tiles that images are cut into; 0 takes every image whole."""
    batch: Annotated[int, Field(ge=2)] = 256
    epochs: Positive = 300
    steps: Count | None = None
    """In place of `epochs`."""
    rate: Positive = 0.3
    """For a batch of 256; it grows with the batch."""
    warmup: Annotated[float, Field(ge=0)] = 10
    """In epochs; at most a tenth of the run."""
    decay: Annotated[float, Field(ge=0)] = 1.5e-6
    trust: Positive = 1e-3
    """Of LARS: a layer's step in shares of its weights' length, before the rate."""
    tau: Share = 0.99
    """Of the target's weights, the share kept at the first step."""
    hidden: Count | None = None
    """Channels inside the projector and the predictor."""
    projected: Count = 256
    precision: Precision = "32-true"
    save_every: Count = 500

    @model_validator(mode="after")
    def _cut_holds_a_view(self) -> Self:
        if self.cut and self.side and self.cut < self.side:
            raise ValueError(f"tiles of {self.cut} pixels are smaller than a view of {self.side}")
        return self

    @classmethod
    def chosen(cls, options: dict[str, Any]) -> Self:
        """From options, the encoder's own where one is not given. RecipeError in one line."""
        try:
            asked = cls.model_validate(options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            message = str(first["msg"]).removeprefix("Value error, ")
            raise RecipeError(f"{where}: {message}" if where else message) from None
        asked.config()
        if asked.encoder == "tile":
            own = {"policy": ("tile",), "side": 32, "cut": 48, "hidden": 512}
        elif asked.stem == "small":
            own = {"policy": ("massrl-small",), "side": 32, "cut": 0, "hidden": 4096}
        else:
            own = {"policy": ("massrl",), "side": 224, "cut": 0, "hidden": 4096}
        if asked.side is not None and own["cut"]:
            own["cut"] = asked.side * 3 // 2
        missing = {name: value for name, value in own.items() if getattr(asked, name) in (None, ())}
        return asked.model_copy(update=missing)

    def config(self) -> Config:
        """Of the encoder; RecipeError for one that there is not."""
        return Config(self.encoder, self.width, self.stem)

    def policies(self) -> Policy:
        """The policy that views are drawn from; RecipeError when one is not known."""
        policy = integrated([named_policy(name) for name in self.policy])
        if self.crop is None:
            return policy
        if self.crop not in CROPS:
            raise RecipeError(no_such("crop", self.crop, CROPS, "there are"))
        return policy.cropped(CROPS[self.crop])

    def length(self, images: int) -> int:
        """Steps over so many images."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil(self.epochs * (images // self.batch)))

    def warm(self, images: int) -> int:
        """Steps of the warm-up."""
        return min(round(self.warmup * (images // self.batch)), self.length(images) // 10)

    def essence(self) -> dict[str, Any]:
        """What the weights depend on, in what JSON holds."""
        return self.model_dump(mode="json", exclude={"save_every"})
