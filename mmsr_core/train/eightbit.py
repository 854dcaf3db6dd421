"""The 8-bit experts of a run: made from trained ones, they exist as graphs alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Report, SplitName, load_some, to_tensor
from mmsr_core.train.graph import EIGHT_BIT, GraphModule
from mmsr_core.train.measure import work
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.run import Run

Quantize = Callable[[nn.Module, Sequence[npt.NDArray[np.float32]]], bytes]
"""quantize(module, images (1,3,h,w)): the module's 8-bit form as an ONNX graph, the ranges of its
activations taken from what the images make of them. An exporter has one."""
PHOTOGRAPHS = 48
"""Photographs that ranges are taken from."""


def make_eight_bit(
    run: Run, images: Path, catalog: Catalog, quantize: Quantize | None, report: Report
) -> None:
    """Make the 8-bit experts that the recipe asks for and that are not there yet.

    RecipeError when some are asked for and there is nothing to `quantize` with.
    """
    recipe = run.recipe
    forms = [e for e in recipe.experts if e.quantize and recipe.source_of(e) in recipe.exact]
    todo = [expert for expert in forms if not run.graph(expert).exists()]
    if not todo:
        return
    if quantize is None:
        raise RecipeError(f"expert {todo[0].name}: 8-bit experts need an exporter; none was given")
    seen = seen_images(recipe, images)
    for done, expert in enumerate(todo):
        module = run.trained(recipe.source_of(expert), catalog)
        run.save_graph(expert, quantize(module, seen))
        report("8-bit experts", done + 1, len(todo))


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
