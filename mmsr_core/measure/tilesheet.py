"""The picture of a tile store: how the tiles score, and what pruned and kept ones look like."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

PRUNED, KEPT = "#c2410c", "#64748b"
BINS = 60
COLUMNS, ROWS = 16, 6
"""Tiles of all contact sheets together, across and down."""
SHOWN = 96
"""Pixels of a tile's side on a sheet."""
GAP = 4


@dataclass(frozen=True, eq=False)
class Panel:
    """One score of all tiles (n,), 0 or more, and the threshold under which it votes flat."""

    name: str
    scores: npt.NDArray[np.float64]
    threshold: float | None = None


@dataclass(frozen=True, eq=False)
class Sheet:
    """Tiles (k,t,t,3), 8 bits, under a title in the colour of what became of them."""

    title: str
    tiles: npt.NDArray[np.uint8]
    colour: str = KEPT


def draw(
    path: Path,
    title: str,
    panels: Sequence[Panel],
    kept: npt.NDArray[np.bool_],
    sheets: Sequence[Sheet],
) -> None:
    """Draw a PNG: the panels' distributions, kept tiles (n,) set off from pruned ones, over the
    contact sheets."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9.2), layout="constrained")
    figure.suptitle(title, fontsize=13)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.7))
    above = parts[0].subplots(1, len(panels), squeeze=False)[0]
    below = parts[1].subplots(1, len(sheets), squeeze=False)[0]
    above[0].set_ylabel("tiles")
    for axes, panel in zip(above, panels, strict=True):
        _distribution(axes, panel, kept)
    for axes, sheet in zip(below, sheets, strict=True):
        axes.imshow(mosaic(sheet.tiles, COLUMNS // len(sheets)), interpolation="antialiased")
        axes.set_title(sheet.title, color=sheet.colour, fontsize=11)
        axes.set_axis_off()
    beside = path.with_name(f".{path.name}.part")
    figure.savefig(beside, dpi=130, format="png")
    os.replace(beside, path)


def _distribution(axes: Any, panel: Panel, kept: npt.NDArray[np.bool_]) -> None:
    """Stacked histograms over a logarithmic axis; zeros fall in the first bar."""
    positive = panel.scores[panel.scores > 0]
    low, high = np.quantile(positive, (0.002, 1)) if len(positive) else (0.5, 1.0)
    low = min(low, high / 10)
    edges = np.geomspace(low, high * 1.001, BINS)
    scores = np.maximum(panel.scores, low)
    axes.hist([scores[~kept], scores[kept]], edges, stacked=True, color=[PRUNED, KEPT])
    title = panel.name
    if panel.threshold:
        axes.axvline(panel.threshold, color="black", linestyle="--")
        title += f": flat under {panel.threshold:.3g}"
    axes.set_xscale("log")
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("score; zeros in the first bar", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def mosaic(tiles: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Tiles (k,t,t,3) in rows of so many columns, each reduced to SHOWN pixels, on white."""
    rows = max(1, -(-len(tiles) // columns))
    step = SHOWN + GAP
    sheet = np.full((rows * step - GAP, columns * step - GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * step, index % columns * step
        small = cv2.resize(tile, (SHOWN, SHOWN), interpolation=cv2.INTER_AREA)
        sheet[top : top + SHOWN, left : left + SHOWN] = small
    return sheet
