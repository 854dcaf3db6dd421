"""The pictures of docs/routing.md and README.md, from a drawn scene and a shipped model.

    python docs/images/make.py [--model compact-x4] [--only NAME]

Nothing in them depends on the clock: costs are the model's own, errors are measured on the scene.
Needs mmsr and matplotlib (`pip install 'mmsr[cpu,plot]'`); a minute on two cores.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from panels import (
    EXPERT,
    INK,
    ORACLE,
    ROUTED,
    legend,
    new_figure,
    outline,
    paint_cells,
    points_of,
    show,
)
from study import Study

from mmsr_core.measure.oracle import Scene, frontier, judge, perfect
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.image import resize
from mmsr_core.runtime.plan import Costs, make_plan
from mmsr_core.runtime.routemap import paint
from mmsr_core.runtime.tiles import Grid
from mmsr_registry import Registry

HERE = Path(__file__).parent
CELLS = {"sky": (1, 6), "lake": (8, 9), "roof": (7, 4), "leaves": (7, 16), "meadow": (11, 13)}
"""Cells of the scene (row, column) whose scores are shown."""


def before_after(study: Study) -> Any:
    """The whole answer with its route map, and details of bicubic enlargement beside it."""
    engine, lr, scale = study.engine, study.photo, study.engine.manifest.scale
    answer = engine.upscale(lr)
    plain = np.clip(resize(lr, lr.shape[0] * scale, lr.shape[1] * scale), 0, 1)
    upscaled = np.clip(answer.pixels, 0, 1)
    coloured = paint(answer.plan, engine.manifest.classes, upscaled)
    figure = new_figure(10, 6.55)
    top, bottom = figure.subfigures(2, 1, height_ratios=(3.6, 2.75))
    for axes, picture, name in zip(
        top.subplots(1, 2),
        (upscaled, coloured[: upscaled.shape[0]]),
        ("×4 by compact-x4", f"who answered where; cost {answer.plan.cost:.0%} of the deepest"),
        strict=True,
    ):
        show(axes, picture, name)
    spots = ((2040, 1210), (1600, 3560))
    shown = [crop for spot in spots for crop in ((plain, spot), (upscaled, spot))]
    names = ("bicubic", "compact-x4") * 2
    for axes, (picture, (y, x)), name in zip(bottom.subplots(1, 4), shown, names, strict=True):
        show(axes, picture[y : y + 420, x : x + 420], name)
    return figure


def cells(study: Study) -> Any:
    """The cut into cells, and two of the features that the router reads."""
    figure = new_figure(10, 2.75)
    first, second, third = figure.subplots(1, 3)
    show(first, study.lr, f"cells of {study.grid.cell} pixels")
    for row in range(1, study.grid.rows):
        first.axhline(row * study.grid.cell - 0.5, color="white", lw=0.5)
    for column in range(1, study.grid.columns):
        first.axvline(column * study.grid.cell - 0.5, color="white", lw=0.5)
    for axes, name, title in (
        (second, "etvat_g", "ETVAT, green"),
        (third, "coherence", "coherence"),
    ):
        show(axes, study.features[name], title, cmap="magma")
    return figure


def errors(study: Study) -> Any:
    """Expected and measured error of every route on a few cells."""
    grid = study.grid
    figure = new_figure(10, 3.9)
    panels = figure.subplots(2, len(CELLS), height_ratios=(1, 1.5), sharey="row")
    truth = study.measured / study.grid.areas[:, None] * study.grid.areas.sum()
    for column, (name, (row, at)) in enumerate(CELLS.items()):
        y, x = row * grid.cell, at * grid.cell
        show(panels[0, column], study.lr[y : y + grid.cell, x : x + grid.cell], name)
        axes, index = panels[1, column], row * grid.columns + at
        for values, style, label in (
            (study.expected[index], "D-", "expected by the router"),
            (truth[index], "o:", "measured"),
        ):
            colour = ROUTED if style == "D-" else EXPERT
            axes.plot(study.costs.routes, values, style, color=colour, ms=4, lw=1.2, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks((0.02, 0.1, 1), ("0.02", "0.1", "1"))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_xlabel("time of the route")
    panels[1, 0].set_ylabel("squared error")
    panels[1, 0].legend(loc="upper right", fontsize=7)
    return figure


def plans(study: Study) -> Any:
    """The plan at four efforts."""
    manifest = study.engine.manifest
    default = manifest.effort.default
    height = len(study.photo)
    figure = new_figure(10, 7.2)
    for axes, effort in zip(figure.subplots(2, 2).flat, (0.0, default, 0.5, 0.95), strict=True):
        plan = study.engine.bands(study.photo, effort=effort).plan
        name = f"effort {effort:.2g}" + (", the default" if effort == default else "")
        title = f"{name}: {len(plan.regions)} regions, cost {plan.cost:.2f}"
        show(axes, paint(plan, manifest.classes, study.photo)[:height], title)
    legend(figure, manifest.classes)
    return figure


def borders(study: Study) -> Any:
    """Why a lone cheap cell is run by its neighbours' expert: two routes, one ten times as dear."""
    costs = Costs((0.1, 1.0), study.engine.halo())
    rows, columns = 10, 16
    grid = Grid(rows * 32, columns * 32, 32)
    smooth = np.zeros((rows, columns), bool)
    smooth[2, 3] = smooth[8, 1] = smooth[:4, 8:] = smooth[6:8, 11:13] = True
    smooth[2, 12] = False
    shares = np.stack([np.where(smooth, 1.0, 3.0), np.ones_like(smooth)], axis=2) / smooth.size
    plan = make_plan(shares.reshape(-1, 2), grid, costs, 0.3)
    figure = new_figure(10, 2.6)
    first, second, third = figure.subplots(1, 3)
    paint_cells(first, np.where(smooth, 0, 1), "blue: the cheap route is as good")
    paint_cells(second, plan.routes, f"the plan: cost {plan.cost:.2f}")
    for region in plan.regions:
        outline(second, region.box, "white", 2.0)
    paint_cells(third, plan.routes, "what is computed: halos overlap")
    for region in plan.regions:
        outline(third, region.box, "white", 1.2)
        grown = region.box.grown(costs.halo, grid.height, grid.width)
        outline(third, grown, INK, 1.2, "--")
    return figure


def tradeoff(study: Study) -> Any:
    """Quality against cost on the scene: experts alone, the router's plans, the oracle's."""
    manifest = study.engine.manifest
    seen, costs = Scene(study.grid, study.measured), study.costs
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    best = [p for p in frontier(perfect([seen], costs)) if p.lost < 2]
    axes.plot(
        *points_of(best), "--", color=ORACLE, label="oracle, who knows every error (computed)"
    )
    efforts = np.linspace(0, 1, 41)
    routed = [judge([seen], [study.plan(float(effort))]) for effort in efforts]
    axes.plot(*points_of(routed), "-", color=ROUTED, label="routed, effort 0 to 1")
    chosen = judge([seen], [study.plan(manifest.effort.default)])
    axes.plot([chosen.cost], [chosen.lost], "D", color=ROUTED, label="routed, the default effort")
    for index, label in enumerate(manifest.classes):
        everywhere = np.full((study.grid.rows, study.grid.columns), index)
        error = seen.errors[np.arange(everywhere.size), index].sum()
        lost = 10 * np.log10(error / seen.errors[:, costs.deepest].sum())
        axes.plot(costs.routes[index], lost, "o", color=EXPERT)
        name = manifest.routes[label].experts[0]
        place = {"textcoords": "offset points", "fontsize": 8, "color": EXPERT}
        axes.annotate(name, (costs.routes[index], lost), xytext=(5, -9), **place)
    axes.plot([], [], "o", color=EXPERT, label="one expert everywhere")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.02)
    axes.set_xlim(0.017, 1.6)
    axes.set_ylim(2.5, -0.02)
    axes.set_xticks((0.02, 0.05, 0.1, 0.2, 0.5, 1), ("0.02", "0.05", "0.1", "0.2", "0.5", "1"))
    axes.set_yticks(
        (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2), ("0", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2")
    )
    axes.minorticks_off()
    axes.set_xlabel("cost: time over that of the deepest expert everywhere")
    axes.set_ylabel("dB lost against it")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    return figure


DRAWN: dict[str, Callable[[Study], Any]] = {
    "before-after.jpg": before_after,
    "cells.jpg": cells,
    "errors.png": errors,
    "plans.jpg": plans,
    "borders.png": borders,
    "tradeoff.png": tradeoff,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact-x4")
    parser.add_argument("--only", choices=DRAWN)
    asked = parser.parse_args()
    bundle = Bundle.open(Registry().find(asked.model))
    study = Study(bundle, Engine(bundle, device="cpu"))
    for name, draw in DRAWN.items():
        if asked.only in (None, name):
            kinds = {"pil_kwargs": {"quality": 88}} if name.endswith(".jpg") else {}
            draw(study).savefig(HERE / name, dpi=160, **kinds)


if __name__ == "__main__":
    main()
