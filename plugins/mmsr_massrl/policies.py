"""Policies: what is drawn for every image of a view, as data that a JSON file can hold.

A policy file is `{"format": "mmsr-policy/1", "name": …, "views": [VIEW, …]}`, or a bare list of
sub-policies, `[[["ShearX", 0.9, 0.4], ["Invert", 0.2, 0.3]], …]`, as Fast AutoAugment's are
published. Probabilities and levels lie in [0,1]; `ops` says what a level means.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmsr_core.errors import RecipeError, no_such
from mmsr_core.runtime.atomic import replacing
from mmsr_massrl.crops import Crop, Share
from mmsr_massrl.ops import EXTENDED, NUMBERS, OPS


def _known(name: str) -> str:
    if name not in OPS:
        raise ValueError(no_such("operation", name, OPS, "there are"))
    return name


Name = Annotated[str, AfterValidator(_known)]
Step = tuple[Name, Share, Share]
"""An operation, the probability that it runs, and its level."""
Subpolicy = Annotated[tuple[Step, ...], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Random(_Table):
    """RandAugment: `count` operations drawn one by one, all at one `level`."""

    count: Annotated[int, Field(ge=1)] = 2
    level: Share = 0.9
    ops: Annotated[tuple[Name, ...], Field(min_length=1)] = EXTENDED


class Strategy(_Table):
    """One way of drawing operations: one of some sub-policies, evenly, or RandAugment."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often it is drawn beside its view's others."""
    subpolicies: Annotated[tuple[Subpolicy, ...], Field(min_length=1)] | None = None
    random: Random | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.subpolicies is None) == (self.random is None):
            raise ValueError("a strategy has subpolicies or random, one of the two")
        return self

    @property
    def longest(self) -> int:
        """How many operations it may apply to an image."""
        return self.random.count if self.random else max(map(len, self.subpolicies or ()))


class View(_Table):
    """A crop, flips, then one strategy, drawn for every image."""

    crop: Crop = Crop()
    mirror: Share = 0.5
    """How often an image is flipped left to right."""
    turns: bool = False
    """Whether it is turned and flipped in all eight ways."""
    strategies: tuple[Strategy, ...] = ()

    def drawn(self, count: int, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """For each image its operations' numbers (n,s), −1 for none, and their levels (n,s)."""
        slots = max((strategy.longest for strategy in self.strategies), default=0)
        numbers = torch.full((count, slots), -1)
        levels = torch.zeros(count, slots)
        if not slots:
            return numbers, levels
        weights = torch.tensor([strategy.weight for strategy in self.strategies])
        chosen = torch.multinomial(weights, count, replacement=True, generator=draws)
        for index, strategy in enumerate(self.strategies):
            rows = torch.nonzero(chosen == index).squeeze(1)
            ops, shares, strengths = _listed(strategy, len(rows), draws)
            runs = torch.rand(ops.shape, generator=draws) < shares
            numbers[rows, : ops.shape[1]] = torch.where(runs, ops, -1)
            levels[rows, : ops.shape[1]] = strengths
        return numbers, levels


class Policy(_Table):
    """The views' ways of being drawn, in turn when there are more views than ways."""

    format: Literal["mmsr-policy/1"] = "mmsr-policy/1"
    name: str = "policy"
    views: Annotated[tuple[View, ...], Field(min_length=1)]

    def view(self, index: int) -> View:
        """How the view of that number is drawn."""
        return self.views[index % len(self.views)]

    def cropped(self, crop: Crop) -> Self:
        """This policy with another crop in every view."""
        views = tuple(view.model_copy(update={"crop": crop}) for view in self.views)
        return self.model_copy(update={"views": views})


def integrated(policies: Sequence[Policy]) -> Policy:
    """One policy of the strategies of all: the first one's crops and flips, and each policy drawn
    as often as the others."""
    first, *others = policies
    if not others:
        return first
    views = []
    for index in range(max(len(policy.views) for policy in policies)):
        shares = []
        for policy in policies:
            strategies = policy.view(index).strategies
            total = sum(strategy.weight for strategy in strategies)
            shares += [
                strategy.model_copy(update={"weight": strategy.weight / total})
                for strategy in strategies
            ]
        views.append(first.view(index).model_copy(update={"strategies": tuple(shares)}))
    return Policy(name=" + ".join(policy.name for policy in policies), views=tuple(views))


def read_policy(path: Path) -> Policy:
    """The policy in a JSON file; RecipeError when it can't be read or says what nothing knows."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the policy ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: not JSON ({error})") from None
    if isinstance(data, list):
        data = {"name": path.stem, "views": [{"strategies": [{"subpolicies": data}]}]}
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "policy"
        message = str(first["msg"]).removeprefix("Value error, ")
        raise RecipeError(f"{path}: {where}: {message}") from None


def save_policy(path: Path, policy: Policy) -> None:
    """Write a policy file in one step; RecipeError when it can't be written."""
    text = json.dumps(policy.model_dump(mode="json", exclude_none=True), indent=1) + "\n"
    try:
        with replacing(path) as part:
            part.write_text(text)
    except OSError as error:
        raise RecipeError(f"{path}: cannot write the policy ({error.strerror})") from None


def _listed(
    strategy: Strategy, count: int, draws: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each of `count` images the operations, probabilities and levels (n,s) it is given."""
    if strategy.random is not None:
        space = torch.tensor([NUMBERS[name] for name in strategy.random.ops])
        shape = (count, strategy.random.count)
        ops = space[torch.randint(len(space), shape, generator=draws)]
        return ops, torch.ones(shape), torch.full(shape, strategy.random.level)
    lists = strategy.subpolicies or ()
    table = torch.zeros(len(lists), strategy.longest, 3)
    table[:, :, 0] = -1
    for row, steps in enumerate(lists):
        for slot, (name, share, level) in enumerate(steps):
            table[row, slot] = torch.tensor((NUMBERS[name], share, level))
    ops, shares, levels = table[torch.randint(len(lists), (count,), generator=draws)].unbind(2)
    return ops.long(), shares, levels
