"""The 8-bit experts of a run: made from trained ones, they exist as graphs alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning_fabric as lf
import numpy as np
import numpy.typing as npt
from torch import nn

from mmsr_core.errors import ExportError, RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Report, SplitName, load_some, to_tensor
from mmsr_core.train.fit import fit
from mmsr_core.train.graph import EIGHT_BIT, GraphModule
from mmsr_core.train.material import Material
from mmsr_core.train.measure import work
from mmsr_core.train.nodes.claim import Claim
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.run import Run
from mmsr_core.train.tables import Expert

Images = Sequence[npt.NDArray[np.float32]]
"""(1,3,h,w) each: the ranges of activations are taken from what they make of these."""
PHOTOGRAPHS = 48
"""Photographs that ranges are taken from."""


@dataclass(frozen=True)
class EightBit:
    """What an exporter does for 8-bit experts; ExportError for a module that can't be one."""

    quantize: Callable[[nn.Module, Images], bytes]
    """A module's 8-bit form as an ONNX graph."""
    rounding: Callable[[nn.Module, Images], nn.Module]
    """A copy of a module that rounds as that form does, and can be trained; its parameters have
    the same names."""
    quantize_rounded: Callable[[nn.Module, nn.Module], bytes]
    """The 8-bit form of a module that has loaded what such a copy learnt, as an ONNX graph."""


def eight_bit_experts(run: Run) -> list[Expert]:
    """The 8-bit forms of experts trained in this run that are not there yet."""
    recipe = run.recipe
    forms = [e for e in recipe.experts if e.quantize and recipe.source_of(e) in recipe.exact]
    return [expert for expert in forms if not run.graph(expert).exists()]


def make_eight_bit(
    run: Run,
    images: Path,
    catalog: Catalog,
    eight_bit: EightBit | None,
    material: Material,
    report: Report,
) -> None:
    """Make the 8-bit experts that the recipe asks for and that are not there yet.

    Those with a training of their own learn on from `material` first, rounded to 8 bits.
    RecipeError when some are asked for and there is nothing to make them with, or when one can't
    be made.
    """
    todo = eight_bit_experts(run)
    if not todo:
        return
    if eight_bit is None:
        raise RecipeError(f"expert {todo[0].name}: 8-bit experts need an exporter; none was given")
    seen = seen_images(run.recipe, images)
    for done, expert in enumerate(todo):
        module = run.trained(run.recipe.source_of(expert), catalog)
        try:
            if expert.training:
                rounded = eight_bit.rounding(module, seen)
                _let_learn(rounded, run.build(run.recipe.source_of(expert), catalog))
                learnt = _learn(run, expert, rounded, material, report)
                weights = dict(learnt.named_parameters())
                module.load_state_dict(module.state_dict() | weights)
                graph = eight_bit.quantize_rounded(module, learnt)
            else:
                graph = eight_bit.quantize(module, seen)
            run.save_graph(expert, graph)
        except ExportError as error:
            raise RecipeError(f"expert {expert.name}: {error}") from None
        report("8-bit experts", done + 1, len(todo))


def _let_learn(rounded: nn.Module, source: nn.Module) -> None:
    """Let learn what learns in a network as it was built."""
    free = {name for name, value in source.named_parameters() if value.requires_grad}
    for name, value in rounded.named_parameters():
        value.requires_grad_(name in free)


def _learn(
    run: Run, expert: Expert, rounded: nn.Module, material: Material, report: Report
) -> nn.Module:
    """A rounding network trained on."""
    settings = run.recipe.fit_of(expert)
    fabric = lf.Fabric(accelerator="auto", devices=1, precision=settings.precision)
    claim, tiles = Claim.take(run.expert(expert)), material.of(expert)

    def tell(what: str, done: int, total: int) -> None:
        report(f"{expert.name}: {what}", done, total)

    fitted = fit(fabric, rounded, tiles, settings, run.recipe.seed, claim, tell)
    claim.check()
    return fitted.module


def seen_images(recipe: Recipe, images: Path) -> list[npt.NDArray[np.float32]]:
    """LR images (1,3,h,w) that 8-bit forms take their ranges from: of the experts split, if any."""
    split: SplitName = "experts" if recipe.split.experts else "router"
    pairs = load_some(recipe, images, split, PHOTOGRAPHS)
    return [to_tensor(pair.lr[None]).numpy() for pair in pairs]


def expert_modules(run: Run, catalog: Catalog) -> dict[str, nn.Module]:
    """Every expert of a run, ready to be measured; RecipeError when one is not finished."""
    recipe = run.recipe
    modules: dict[str, nn.Module] = {}
    for expert in recipe.exact:
        modules[expert.name] = run.trained(expert, catalog)
    for expert in recipe.wrapped:
        given = run.given(expert)
        modules[expert.name] = GraphModule(given.graph, expert.name, given.scale, given.macs)
    for expert in recipe.experts:
        if expert.quantize is not None:
            macs = EIGHT_BIT * work(modules[expert.quantize])
            graph = run.read_graph(expert)
            modules[expert.name] = GraphModule(graph, expert.name, recipe.scale, macs)
    return modules
