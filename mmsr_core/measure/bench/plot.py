"""The picture of a benchmark: quality lost against time."""

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.measure.bench.outcome import Outcome, Standing

ROUTED, EXPERT, PEER, AGAINST, ORACLE = "#c2410c", "#475569", "#7c3aed", "#1d4ed8", "#15803d"
LINEAR = 0.01
"""dB about zero that the axis shows linearly; beyond that it is logarithmic."""
LOSSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHARES = tuple(digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 3, 5, 7))
PLACES = tuple(
    (x * far, y * far)
    for far in (6, 9, 14, 22, 32, 44)
    for x, y in ((1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0, 1), (0, -1), (1.2, 0), (-1.2, 0))
)
"""Where a label may lie, in points from its mark, the likeliest first."""
DISTANT = 14
RADIUS = 5
"""Pixels that a mark or a curve takes to every side."""
GAP = 2
"""Pixels between a name and what is beside it."""


def plot(found: Outcome, path: Path) -> None:
    """Draw dB lost against the deepest expert over the share of its time; PNG, SVG or PDF."""
    figure = draw(found)
    beside = path.with_name(f".{path.name}.part")
    figure.savefig(beside, dpi=150, format=path.suffix[1:] or "png")
    os.replace(beside, path)


def draw(found: Outcome) -> Any:
    """The picture, a figure of matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.subplots()
    x, y = zip(*found.frontier, strict=True)
    axes.plot(x, y, "--", color=ORACLE, lw=1.3, label="oracle (computed, not run)", zorder=2)
    kinds = {
        "routed": ("D-", ROUTED, "routed, by effort"),
        "expert": ("o", EXPERT, "one expert, whole image"),
        "against": ("s", AGAINST, "another model's deepest expert"),
        "peer": ("^", PEER, "other programs"),
    }
    for kind, (style, colour, label) in kinds.items():
        mine = [one for one in found.standings if one.kind == kind]
        points = [(one.time, one.lost) for one in mine]
        if points:
            marks = zip(*points, strict=True)
            axes.plot(*marks, style, color=colour, lw=1.6, ms=5.5, label=label, zorder=3)
    _scale(axes, [*found.frontier, *((one.time, one.lost) for one in found.standings)])
    axes.set_xlabel(f"time from file to file, {found.deepest} on the whole image = 1")
    axes.set_ylabel(f"PSNR-Y lost against {found.deepest}, dB")
    axes.set_title(f"{found.model}, {len(found.per_image)} images", loc="left", fontsize=11)
    machine = f"{found.machine['cpu']}, {found.machine['cores']} cores, {found.device}"
    axes.set_title(machine, loc="right", fontsize=8, color="#64748b")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    columns = 3 if len(axes.get_lines()) > 4 else 4
    figure.legend(loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels look for room on the finished page
    _label(axes, found.standings, {kind: colour for kind, (_, colour, _) in kinds.items()})
    return figure


def _scale(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Logarithmic time; losses linear about zero, with round numbers, no further than needed."""
    from matplotlib.ticker import FixedLocator, NullLocator

    times, losses = zip(*points, strict=True)
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.35, max(times) * 1.35)
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.6)
    lowest = min(losses)
    axes.set_ylim(lowest * 1.3 - LINEAR / 3, max(LINEAR, max(losses)) * 2.2)
    ticks = sorted({*LOSSES, *(-loss for loss in LOSSES if -loss >= lowest)})
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_locator(FixedLocator(SHARES))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")


def _label(axes: Any, standings: Sequence[Standing], colours: dict[str, str]) -> None:
    """Name every mark in the first place where its name covers no mark, no curve and no other
    name, and is no nearer to another mark; a thin line leads to a distant one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(axes.figure)
    renderer = canvas.get_renderer()
    page = axes.get_window_extent()
    marks = [axes.transData.transform((one.time, one.lost)) for one in standings]
    size = 2 * RADIUS
    taken = [Bbox.from_bounds(x - RADIUS, y - RADIUS, size, size) for x, y in _drawn(axes)]
    for one, mark in zip(standings, marks, strict=True):
        name = one.name.removeprefix("routed@").replace("routed", "default")
        line = {"arrowstyle": "-", "lw": 0.5, "color": colours[one.kind], "shrinkB": 3}
        tries = []
        for right, up in PLACES:
            text = axes.annotate(
                name if one.kind == "routed" else one.name,
                (one.time, one.lost),
                xytext=(right, up),
                textcoords="offset points",
                ha="left" if right > 0 else "right" if right < 0 else "center",
                va="bottom" if up > 0 else "top" if up < 0 else "center",
                fontsize=8,
                color=colours[one.kind],
                arrowprops=line if math.hypot(right, up) > DISTANT else None,
            )
            text.update_positions(renderer)
            box = Text.get_window_extent(text)  # an annotation's own includes its line
            faults = sum(box.padded(GAP).overlaps(other) for other in taken)
            faults += sum(_distance(box, other) < _distance(box, mark) for other in marks)
            faults += 9 * (page.x0 > box.x0 or page.x1 < box.x1)
            faults += 9 * (page.y0 > box.y0 or page.y1 < box.y1)
            tries.append((faults, text, box))
            if not faults:
                break
        least = min(tries, key=lambda found: found[0])
        for found in tries:
            if found is not least:
                found[1].remove()
        taken.append(least[2])


def _distance(box: Any, point: Sequence[float]) -> float:
    """From a point to the nearest place of a box."""
    x, y = point
    return math.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))


def _drawn(axes: Any) -> list[tuple[float, float]]:
    """Places on the page that marks and curves take, a curve every few pixels."""
    found: list[tuple[float, float]] = []
    for line in axes.get_lines():
        points = axes.transData.transform(line.get_xydata())
        found += map(tuple, points)
        if line.get_linestyle() != "None":
            for (x, y), (u, v) in pairwise(points):
                steps = np.linspace(0, 1, max(2, int(math.hypot(u - x, v - y) / RADIUS)))
                found += [(x + (u - x) * step, y + (v - y) * step) for step in steps]
    return found
