"""The report's pictures: the depth table, training times, results by kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmsr_core.measure.report.section import amount

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN, MODELS = "#8a8a8a", "#c2410c"
"""One network everywhere is grey and the routed engine red, as in an evaluation's picture."""
PALE = "#fed7aa"
DARK = 0.8
"""From this share of the scale on, white numbers are legible."""


@dataclass(frozen=True)
class Cell:
    """A cell of the depth table: its text, dB below the best of its row, whether it's the best."""

    text: str
    behind: float | None
    best: bool


@dataclass(frozen=True)
class Bar:
    """A training time of one run; `plain` is the deep model alone, `computed` wasn't measured."""

    run: str
    text: str
    seconds: float
    ratio: str
    plain: bool
    computed: bool


@dataclass(frozen=True)
class Panel:
    """Pairs of bars, plain and routed, by kind of network, and a text under each pair."""

    title: str
    kinds: Sequence[str]
    pairs: Sequence[tuple[float | None, float | None]]
    below: Sequence[str]
    from_zero: bool = True
    """Whether 0 means none; decibels have no such 0, and are points rather than bars."""


def draw_depths(
    figure: "Figure", classes: Sequence[str], experts: Sequence[str], grid: Sequence[Sequence[Cell]]
) -> None:
    """Draw the depth table, the darker the better."""
    from matplotlib.colors import LinearSegmentedColormap

    figure.set_size_inches(3.0 + 1.5 * len(experts), 1.4 + 0.6 * len(classes))
    axes = figure.subplots()
    behind = [[cell.behind for cell in row] for row in grid]
    most = max((one for row in behind for one in row if one is not None), default=0.0) or 1.0
    shades = [[0.0 if one is None else 1 - one / most for one in row] for row in behind]
    colours = LinearSegmentedColormap.from_list("", ["#ffffff", PALE, MODELS])
    axes.imshow(shades, cmap=colours, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks([column + 0.5 for column in range(len(experts) - 1)], minor=True)
    axes.set_yticks([row + 0.5 for row in range(len(classes) - 1)], minor=True)
    axes.grid(which="minor", color="#d4d4d4", linewidth=0.8)
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            style: dict[str, Any] = {"weight": "bold" if cell.best else "normal", "fontsize": 9}
            style["color"] = "white" if shades[row][column] > DARK else "#1f1f1f"
            axes.text(column, row, cell.text, ha="center", va="center", **style)
    axes.set_xticks(range(len(experts)), experts)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(which="both", length=0)
    axes.set_title(
        "Y-PSNR in dB by class of tiles, in brackets the share of tiles won", fontsize=10
    )


def draw_times(figure: "Figure", bars: Sequence[Bar]) -> None:
    """Draw training times, a group of bars for each run; computed ones are hatched."""
    from matplotlib.patches import Patch

    figure.set_size_inches(8.5, 1.3 + 0.36 * len(bars) + 0.2 * len({bar.run for bar in bars}))
    axes = figure.subplots()
    place, places = 0.0, []
    for number, bar in enumerate(bars):
        if number and bar.run != bars[number - 1].run:
            place += 0.6
        places.append(place)
        place += 1
        colour = PLAIN if bar.plain else MODELS
        style: dict[str, Any] = {"color": colour}
        if bar.computed:
            style = {"facecolor": PALE, "edgecolor": colour, "hatch": "///"}
        axes.barh(places[-1], bar.seconds, **style)
        ratio = "" if bar.plain or bar.ratio == "–" else f"  ({bar.ratio})"
        text = f" {amount(bar.seconds)} s{ratio}"
        axes.text(bar.seconds, places[-1], text, va="center", fontsize=9)
    axes.set_yticks(places, [f"{bar.run}: {bar.text}" for bar in bars], fontsize=9)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.margins(x=0.25)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("training, seconds")
    axes.spines[["top", "right"]].set_visible(False)
    handles = []
    if any(bar.plain for bar in bars):
        handles.append(Patch(color=PLAIN, label="plain deep model, measured"))
    handles.append(Patch(facecolor=PALE, edgecolor=MODELS, hatch="///", label="models, computed"))
    if not all(bar.plain or bar.computed for bar in bars):
        handles.append(Patch(color=MODELS, label="models, measured"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)


def draw_kinds(figure: "Figure", panels: Sequence[Panel]) -> None:
    """Draw pairs, a panel for each measure: bars that stand on 0, or else points."""
    from matplotlib.patches import Patch

    kinds = max(len(panel.kinds) for panel in panels)
    figure.set_size_inches((1.2 + 1.1 * kinds) * len(panels), 4.0)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for side, colour, marker in ((0, PLAIN, "o"), (1, MODELS, "D")):
            for place, pair in enumerate(panel.pairs):
                value, where = pair[side], place + (side - 0.5) * 0.4
                if value is None:
                    continue
                if panel.from_zero:
                    axes.bar(where, value, 0.38, color=colour)
                else:
                    axes.plot(where, value, marker, color=colour)
                style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8}
                style |= {"xytext": (0, 1 if panel.from_zero else 5)}
                text = amount(value) if panel.from_zero else f"{value:.2f}"
                axes.annotate(text, (where, value), textcoords="offset points", **style)
        axes.margins(x=0.05, y=0.15)
        axes.set_xlim(-0.6, len(panel.kinds) - 0.4)
        names = [f"{kind}\n{text}" for kind, text in zip(panel.kinds, panel.below, strict=True)]
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.set_title(panel.title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    handles = [
        Patch(color=PLAIN, label="plain deep model"),
        Patch(color=MODELS, label="routed engine"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9)
