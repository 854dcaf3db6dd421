"""The routers that a study compares, and how each fares on a set of measured photographs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.measure.oracle import CHEAP, DEAR, Point, Scene, crossing, route
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.components import RouterData
from mmsr_core.plugin.stages import apply
from mmsr_core.runtime.plan import Array, Costs
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.labels import cheapest_within
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.stages import fit_classifier, out_of_fold
from mmsr_core.train.study.rules import (
    RULES,
    best_thresholds,
    label_shares,
    quantile_thresholds,
    shares_below,
)
from mmsr_core.train.tables import Component

FORESTS = ("forest-gain", "forest")
ORACLE = "oracle"
ROUTER = "router"
"""The set on which every learnt router answers for photographs that it has not seen."""
TIMED = 4096
"""Tiles that a classifier's speed is measured on."""
TUNED = 31
"""Values of λ that tuned thresholds are looked for at."""
SIZE = {"trees": 100, "depth": 12}
"""Of a forest, where the recipe has no other."""


@dataclass(frozen=True)
class Ask:
    """What a study varies, and the dB that every router may lose."""

    cells: tuple[int, ...] = (16, 32, 64)
    trees: tuple[int, ...] = (10, 30, 100)
    depths: tuple[int, ...] = (4, 8, 12, 16)
    tolerance: float = 0.02


@dataclass(frozen=True)
class Setting:
    """One router: a classifier on a feature set and a size of cells, or the oracle.

    `tuned` rules have the best thresholds there are, not those of the labels' shares.
    """

    router: str
    features: str
    cell: int
    options: Mapping[str, Any] = field(default_factory=dict)
    tuned: bool = False


@dataclass(frozen=True)
class Measured:
    """One set of photographs at one size of cells; `columns` are the features of every set."""

    data: RouterData
    scenes: tuple[Scene, ...]
    costs: Costs
    columns: Mapping[str, Sequence[int]]

    @classmethod
    def of(
        cls,
        data: RouterData,
        costs: Costs,
        cell: int,
        epsilon: float,
        columns: Mapping[str, Sequence[int]],
    ) -> "Measured":
        """Measured data at a study's costs, with the labels that follow from them."""
        times = np.array(costs.routes)
        labels = cheapest_within(data.errors, times, epsilon)
        scenes = []
        for errors, (height, width) in zip(by_image(data.errors, data), data.shapes, strict=True):
            grid = Grid(int(height), int(width), cell)
            weighted = errors * grid.areas[:, None] / grid.areas.sum()
            scenes.append(Scene(grid, weighted))
        return cls(replace(data, costs=times, labels=labels), tuple(scenes), costs, columns)

    def seen_through(self, features: str) -> RouterData:
        """The data with the features of one set only."""
        columns = list(self.columns[features])
        names = tuple(self.data.names[column] for column in columns)
        return replace(self.data, features=self.data.features[:, columns], names=names)


@dataclass(frozen=True)
class Outcome:
    """How a router fares at equal loss, and the share of the measured labels that it tells."""

    point: Point
    agreement: float | None = None


def contenders(recipe: Recipe, ask: Ask) -> list[Setting]:
    """Every router of a study: one factor at a time is varied around the recipe's setting."""
    chosen = recipe.router.classifier
    cell = recipe.tiles.cell
    own = chosen.options if chosen.name in FORESTS else {}
    forest = chosen.name if chosen.name in FORESTS else FORESTS[0]
    base = Setting(forest, "recipe", cell, SIZE | own)
    found = [base, *(replace(base, router=name) for name in FORESTS)]
    found += [replace(base, options={**base.options, "trees": trees}) for trees in ask.trees]
    found += [replace(base, options={**base.options, "depth": depth}) for depth in ask.depths]
    found += [replace(base, features=name) for name in ("paper", "all", *RULES.values())]
    found += [replace(base, cell=size) for size in ask.cells]
    found += [
        Setting(rule, feature, cell, tuned=tuned)
        for rule, feature in RULES.items()
        for tuned in (False, True)
    ]
    if chosen.name not in (*FORESTS, *RULES):
        found.append(Setting(chosen.name, "recipe", cell, chosen.options))
    cells = dict.fromkeys((cell, *ask.cells))
    found += [Setting(ORACLE, "", size) for size in cells]
    return [one for place, one in enumerate(found) if one not in found[:place]]


def sizes(recipe: Recipe, ask: Ask) -> tuple[int, ...]:
    """The sizes of cells that a study measures."""
    return tuple(dict.fromkeys((recipe.tiles.cell, *ask.cells)))


def learnt(
    setting: Setting,
    recipe: Recipe,
    catalog: Catalog,
    sets: Mapping[str, Measured],
    tolerance: float,
) -> tuple[dict[str, Outcome], float]:
    """A classifier fitted on the router split: its outcome on every set, and µs per tile.

    On the router split itself it answers as in the calibration, out of fold.
    """
    classifier = Component(name=setting.router, options=dict(setting.options))
    asked = recipe.model_copy(
        update={"router": recipe.router.model_copy(update={"classifier": classifier})}
    )
    output = catalog.classifier(setting.router).output
    data = sets[ROUTER].seen_through(setting.features)
    stages = fit_classifier(asked, catalog, data)
    found = {}
    for name, target in sets.items():
        seen = target.seen_through(setting.features)
        if name == ROUTER:
            scores = out_of_fold(asked, catalog, data)
        else:
            scores = apply(stages, seen.features)
        answers = by_image(scores, seen)

        def family(knob: float, target: Measured = target, answers: Any = answers) -> Point:
            return route(target.scenes, answers, output, knob, target.costs)

        told = _told(scores, output, seen, recipe.router.epsilon)
        found[name] = Outcome(within(family, tolerance), told)
    return found, _speed(stages, data)


def ruled(
    setting: Setting, catalog: Catalog, sets: Mapping[str, Measured], tolerance: float
) -> tuple[dict[str, Outcome], float]:
    """Bands of one feature, with thresholds moved until they lose no more than the tolerance.

    They depend on the router split alone, as the labels' shares or tuned, and on every set they
    move along one family from there. Tuned ones have seen the split that they are judged on
    first: an advantage over the forests, which have not.
    """
    train = sets[ROUTER]
    data = train.seen_through(setting.features)
    fit = catalog.classifier(setting.router).fit

    def bands(thresholds: Array) -> tuple[Any, ...]:
        return fit(data, seed=0, thresholds=thresholds.tolist(), calibrate="given")

    def judged(target: Measured, seen: RouterData, thresholds: Array) -> Point:
        answers = by_image(apply(bands(thresholds), seen.features), seen)
        return route(target.scenes, answers, "probs", 0.5, target.costs)

    below = label_shares(data)
    if setting.tuned:
        prices = np.geomspace(CHEAP, DEAR, TUNED)
        tried = [
            best_thresholds(data, train.scenes, setting.features, train.costs, price)
            for price in prices
        ]
        points = [judged(train, data, thresholds) for thresholds in tried]
        good = [i for i, point in enumerate(points) if point.lost <= tolerance]
        best = min(good, key=lambda i: points[i].cost, default=len(tried) - 1)
        below = shares_below(data, setting.features, tried[best])
    found = {}
    for name, target in sets.items():
        seen = target.seen_through(setting.features)

        def family(knob: float, target: Measured = target, seen: RouterData = seen) -> Point:
            if knob >= 1:
                return Point(0.0, 1.0)
            return judged(target, seen, quantile_thresholds(data, setting.features, below, knob))

        stages = bands(quantile_thresholds(data, setting.features, below, 0.5))
        told = _told(apply(stages, seen.features), "probs", seen, 0)
        found[name] = Outcome(within(family, tolerance), told)
    return found, _speed(stages, data)


def perfect(target: Measured, tolerance: float) -> Outcome:
    """The cheapest plans that the oracle makes within the tolerance."""
    truth = [scene.means for scene in target.scenes]

    def family(knob: float) -> Point:
        return route(target.scenes, truth, "errors", knob, target.costs)

    return Outcome(within(family, tolerance))


def within(family: Callable[[float], Point], tolerance: float) -> Point:
    """The cheapest of a family within the tolerance; the dearest route everywhere always is."""
    _, found = crossing(family, lambda point: point.lost <= tolerance)
    return found or Point(0.0, 1.0)


def by_image(values: npt.NDArray[Any], data: RouterData) -> list[npt.NDArray[Any]]:
    """Rows of cells, parted by image."""
    return np.split(values, np.flatnonzero(np.diff(data.images)) + 1)


def _told(scores: Array, output: str, data: RouterData, epsilon: float) -> float:
    """The share of the tiles whose class is the measured one, as in a run's scores."""
    if output == "probs":
        predicted = scores.argmax(axis=1)
    else:
        predicted = cheapest_within(scores, data.costs, epsilon)
    return float((predicted == data.labels).mean())


def _speed(stages: Sequence[Any], data: RouterData) -> float:
    """Microseconds a tile of a classifier in Python, features given: the fastest of three runs."""
    tiles = data.features[:TIMED]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        apply(stages, tiles)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / len(tiles) * 1e6
