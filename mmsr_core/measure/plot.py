"""The picture of an evaluation: quality against time."""

from pathlib import Path
from typing import Any

from mmsr_core.measure.evaluate import Evaluation


def plot(evaluation: Evaluation, path: Path) -> None:
    """Draw PSNR over seconds (logarithmic), one point per row; PNG, SVG or PDF by suffix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    experts = [row for row in evaluation.rows if not row.name.startswith("routed")]
    routed = [row for row in evaluation.rows if row.name.startswith("routed")]
    routed.sort(key=lambda row: row.seconds)
    axes.plot(
        [row.seconds for row in experts],
        [row.psnr_y for row in experts],
        "o-",
        color="#8a8a8a",
        label="one expert, whole image",
    )
    axes.plot(
        [row.seconds for row in routed],
        [row.psnr_y for row in routed],
        "D-",
        color="#c2410c",
        label="routed, by effort",
    )
    place: dict[str, Any]
    for row in experts:
        place = {"xytext": (-4, 7), "ha": "right", "fontsize": 8}
        axes.annotate(row.name, (row.seconds, row.psnr_y), textcoords="offset points", **place)
    for row in routed:
        place = {"xytext": (0, -7), "ha": "center", "va": "top", "rotation": 90, "fontsize": 8}
        name = row.name.removeprefix("routed@").replace("routed", "default")
        axes.annotate(name, (row.seconds, row.psnr_y), textcoords="offset points", **place)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel(f"seconds for {evaluation.images} images ({evaluation.device})")
    axes.set_ylabel("Y-PSNR, dB")
    axes.set_title(evaluation.model)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
