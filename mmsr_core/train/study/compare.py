"""Comparing routers on a finished run: kinds, sizes, feature sets and cells, all at equal loss."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import RecipeError
from mmsr_core.measure.oracle import kept
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime.image import find_images
from mmsr_core.runtime.plan import Costs
from mmsr_core.train.data import Pair, Photo, Report, SplitName, load_pair, load_photos
from mmsr_core.train.depths import Beside
from mmsr_core.train.eightbit import expert_modules
from mmsr_core.train.measure import measure_cells
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.run import Run, write_json
from mmsr_core.train.stages import build_extractor, build_fusers, routes_of
from mmsr_core.train.study.contenders import (
    ORACLE,
    ROUTER,
    Ask,
    Measured,
    Outcome,
    Setting,
    contenders,
    learnt,
    perfect,
    ruled,
    sizes,
)
from mmsr_core.train.study.rules import RULES

STUDY = "study.json"
TEXTURE = "texture"
PAPER = ("etvat_r", "etvat_g", "etvat_b", "edge_score", "limited_edge_score")
"""The features of the 2020 paper."""


def study(
    run: Run,
    catalog: Catalog,
    images: Path,
    folders: Sequence[Path],
    ask: Ask,
    report: Report,
    costs: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Compare routers on the run's router split and on `folders` of HR photographs.

    `images` holds the recipe's data folders. `costs` are the experts' measured times; without
    them multiply-accumulates count. Writes study.json into the run, atomically, and returns what
    it holds. RecipeError when the run is not finished, a folder has another's name, or the costs
    lack an expert.
    """
    recipe = run.recipe
    names = [ROUTER, *(folder.resolve().name for folder in folders)]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f'two sets of photographs are called "{repeated}"; rename a folder')
    charged = None if costs is None else _charged(recipe, costs)
    own: tuple[SplitName, ...] = ("router",)
    sets = {ROUTER: load_photos(recipe, images, report, own).router}
    for name, folder in zip(names[1:], folders, strict=True):
        sets[name] = _load(folder, name, recipe.scale, report)
    measured = _measure(run, catalog, sets, ask, charged, report)
    rows = []
    settings = contenders(recipe, ask)
    for number, setting in enumerate(settings):
        rows.append(_row(setting, recipe, catalog, measured[setting.cell], ask.tolerance))
        report("routers", number + 1, len(settings))
    ceilings = {row["cell"]: row["sets"] for row in rows if row["router"] == ORACLE}
    for row in rows:
        for name, found in row["sets"].items():
            found["kept"] = kept(found["cost"], ceilings[row["cell"]][name]["cost"])
    first = next(iter(measured.values()))[ROUTER]
    found = {
        "tolerance": ask.tolerance,
        "costs": "multiply-accumulates" if costs is None else "measured",
        "routes": dict(zip(recipe.routes, first.data.costs.tolist(), strict=True)),
        "photographs": {name: len({pair.photo for pair in pairs}) for name, pairs in sets.items()},
        "rows": sorted(rows, key=_cost),
    }
    write_json(run.directory / STUDY, found)
    return found


def _charged(recipe: Recipe, costs: Mapping[str, float]) -> list[float]:
    """The time of every route, relative to the dearest."""
    missing = [expert.name for expert in recipe.experts if expert.name not in costs]
    if missing:
        raise RecipeError(
            f"the costs lack the expert {missing[0]}; they are of {', '.join(costs)}: "
            "give a bundle that was exported from this run"
        )
    times = [sum(costs[name] for name in route.experts) for route in recipe.routes.values()]
    return [time / max(times) for time in times]


def _load(folder: Path, name: str, scale: int, report: Report) -> tuple[Pair, ...]:
    files = find_images(folder)
    pairs = []
    for number, path in enumerate(files):
        pairs.append(load_pair(Photo(path, 1, number), scale))
        report(f"photographs of {name}", number + 1, len(files))
    return tuple(pairs)


def _measure(
    run: Run,
    catalog: Catalog,
    sets: Mapping[str, Sequence[Pair]],
    ask: Ask,
    charged: Sequence[float] | None,
    report: Report,
) -> dict[int, dict[str, Measured]]:
    """Size of cells → set → its measurements; the experts run once on every photograph."""
    recipe = run.recipe
    extractor, columns = build_features(recipe, catalog)
    experts = expert_modules(run, catalog)
    fusers = {fuser.name: fuser.module for fuser in build_fusers(recipe, catalog)}
    found: dict[int, dict[str, Measured]] = {cell: {} for cell in sizes(recipe, ask)}
    for name, pairs in sets.items():
        by_cell = measure_cells(
            pairs,
            experts,
            fusers,
            routes_of(recipe),
            extractor,
            tuple(found),
            recipe.router.epsilon,
            partial(report, f"measuring {name}"),
            shifted=name == ROUTER,
        )
        for cell, data in by_cell.items():
            halo = recipe.tiles.halo + recipe.tiles.seam
            costs = Costs(tuple(data.costs if charged is None else charged), halo)
            found[cell][name] = Measured.of(data, costs, cell, recipe.router.epsilon, columns)
    return found


def build_features(recipe: Recipe, catalog: Catalog) -> tuple[Any, dict[str, Sequence[int]]]:
    """An extractor of every feature of every set, and which columns each set has.

    Another extractor than `texture` runs beside it, as the set `recipe`.
    """
    chosen = recipe.router.extractor
    alone = chosen.name == TEXTURE and not recipe.router.beside
    options = chosen.options if alone else {}
    texture: Any = catalog.extractor(TEXTURE).build(**options | {"features": "all"})
    names = tuple(texture.eval().names)
    own: Any = build_extractor(recipe, catalog)
    sets = {"paper": PAPER, "all": names, **{feature: (feature,) for feature in RULES.values()}}
    columns: dict[str, Sequence[int]] = {
        name: [names.index(one) for one in wanted] for name, wanted in sets.items()
    }
    if alone:
        return texture, columns | {"recipe": [names.index(one) for one in own.names]}
    beside = Beside(texture, own).eval()
    return beside, columns | {"recipe": range(len(names), len(names) + len(own.names))}


def _row(
    setting: Setting,
    recipe: Recipe,
    catalog: Catalog,
    sets: Mapping[str, Measured],
    tolerance: float,
) -> dict[str, Any]:
    """A setting and its outcomes, as plain data."""
    speed: float | None = None
    if setting.router == ORACLE:
        outcomes = {name: perfect(target, tolerance) for name, target in sets.items()}
    elif setting.router in RULES:
        outcomes, speed = ruled(setting, catalog, sets, tolerance)
    else:
        outcomes, speed = learnt(setting, recipe, catalog, sets, tolerance)
    return {
        "router": setting.router + (", tuned" if setting.tuned else ""),
        "features": setting.features,
        "cell": setting.cell,
        "options": dict(setting.options),
        "microseconds": speed,
        "sets": {name: _plain(outcome) for name, outcome in outcomes.items()},
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    point = outcome.point
    return {"cost": point.cost, "lost": point.lost, "agreement": outcome.agreement}


def _cost(row: Mapping[str, Any]) -> float:
    """What the table is sorted by: the mean cost over the sets."""
    return float(np.mean([found["cost"] for found in row["sets"].values()]))
