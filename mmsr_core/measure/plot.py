"""The picture of an evaluation: quality against time."""

import math
from pathlib import Path
from typing import Any

from mmsr_core.measure.evaluation import Evaluation, title

STYLES = {
    "expert": ("o-", "#8a8a8a", "one expert, whole image"),
    "routed": ("D-", "#c2410c", "routed, by effort"),
    "against": ("s", "#1d4ed8", "another model's deepest expert, whole image"),
    "computed": ("*", "#15803d", "computed"),
}
"""Marker and line, colour, and what the legend says, by kind of row."""


def plot(evaluation: Evaluation, path: Path) -> None:
    """Draw the first metric over seconds (logarithmic), one point per row.

    PNG, SVG or PDF by suffix. A value that is infinite or missing is left out.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    key, better = next(iter(evaluation.better.items()))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for kind, (style, colour, label) in STYLES.items():
        kinds = ("bicubic", "expert") if kind == "expert" else (kind,)
        rows = [row for row in evaluation.rows if row.kind in kinds]
        rows = [row for row in rows if math.isfinite(row.values.get(key, math.nan))]
        if not rows:
            continue
        rows.sort(key=lambda row: row.seconds)
        points = [(row.seconds, row.values[key]) for row in rows]
        axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
        # Labels lie on the outer side of a rising or falling curve, each kind in its own place.
        outer = -1 if better == "higher" else 1
        place: dict[str, Any] = {"ha": "right" if outer < 0 else "left", "fontsize": 8}
        place["xytext"] = (outer * 4, {"against": 19, "computed": 31}.get(kind, 7))
        if kind == "routed":
            place |= {"xytext": (0, -7), "ha": "center", "va": "top", "rotation": 90}
        for row, point in zip(rows, points, strict=True):
            name = row.name.removeprefix("routed@").replace("routed", "default")
            name = name if kind == "routed" else row.name
            axes.annotate(name, point, textcoords="offset points", **place)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.12, y=0.18)
    axes.set_xlabel(f"seconds for {evaluation.images} images ({evaluation.device})")
    axes.set_ylabel(f"{title(key)}, {better} is better")
    axes.set_title(evaluation.model)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right" if better == "higher" else "upper right")
    figure.savefig(path, dpi=150)
