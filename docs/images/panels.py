"""The parts that the pictures are put together from."""

from typing import Any

import numpy as np

from mmsr_core.measure.oracle import Point
from mmsr_core.runtime.routemap import palette
from mmsr_core.runtime.tiles import Box

INK, ROUTED, ORACLE, EXPERT = "#1f2937", "#c2410c", "#15803d", "#475569"


def new_figure(width: float, height: float) -> Any:
    """A figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def show(axes: Any, picture: Any, title: str, cmap: str | None = None) -> None:
    """A picture (h,w,3), or with `cmap` values (h,w), under a title."""
    axes.imshow(np.clip(picture, 0, 1) if cmap is None else picture, cmap=cmap)
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_axis_off()


def paint_cells(axes: Any, routes: Any, title: str) -> None:
    """Cells of 32 pixels (rows,columns) by route: 0 cheap, 1 dear."""
    height, width = (32 * side for side in routes.shape)
    axes.imshow(palette(6)[[1, 5]][routes], extent=(0, width, height, 0))
    axes.hlines(range(0, height + 1, 32), 0, width, color="white", lw=0.3)
    axes.vlines(range(0, width + 1, 32), 0, height, color="white", lw=0.3)
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_axis_off()


def outline(axes: Any, box: Box, colour: str, width: float, style: str = "-") -> None:
    """The border of a box, in pixels of the image."""
    xs = (box.left, box.right, box.right, box.left, box.left)
    ys = (box.top, box.top, box.bottom, box.bottom, box.top)
    axes.plot(xs, ys, style, color=colour, lw=width, clip_on=False)


def legend(figure: Any, classes: tuple[str, ...]) -> None:
    """The classes' colours, below all panels."""
    from matplotlib.patches import Patch

    colours = map(tuple, palette(len(classes)).tolist())
    marks = [Patch(color=c, label=label) for c, label in zip(colours, classes, strict=True)]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(classes), fontsize=8)


def points_of(points: list[Point]) -> tuple[list[float], list[float]]:
    """What `plot` takes: costs, and dB lost."""
    return [point.cost for point in points], [point.lost for point in points]
