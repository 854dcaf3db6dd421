"""The columns of an evaluation: metrics opened, each with a key and the direction of better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from mmsr_core.errors import PluginError
from mmsr_core.measure.metrics import perceptual_index, psnr_y, ssim_y
from mmsr_core.runtime.tiles import Floats

if TYPE_CHECKING:
    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.plugin.components import Better

NIQE, MA, PI = "niqe", "ma", "pi"
TAKEN = ("name", "file", "row", "width", "height", "seconds", "macs", PI)
"""Keys of an evaluation that no metric's column may have."""


@dataclass(frozen=True)
class Column:
    """One metric, ready: `measure(sr, hr, border)` → a float, nan when the image has no value."""

    key: str
    better: Better
    measure: Callable[[Floats, Floats, int], float]


FIDELITY = (Column("psnr_y", "higher", psnr_y), Column("ssim_y", "higher", ssim_y))
"""What is measured unless other metrics are asked for."""


def open_columns(names: Iterable[str], catalog: Catalog) -> tuple[Column, ...]:
    """Open the installed metrics of those names; "pi" stands for NIQE and Ma, which it joins.

    PluginError when a name is unknown, a metric's weights or package are not there, or two
    metrics would share a column.
    """
    parts = [(NIQE, MA) if name == PI else (name,) for name in names]
    metrics = [catalog.metric(name) for name in dict.fromkeys(chain.from_iterable(parts))]
    owners: dict[str, str] = {}
    for metric in metrics:
        if metric.column in TAKEN or metric.column in owners:
            other = owners.get(metric.column, "mmsr itself")
            raise PluginError(
                f'metric {metric.name}: its column "{metric.column}" is one of {other}; '
                "leave one of them out"
            )
        owners[metric.column] = metric.name
    return tuple(Column(metric.column, metric.better, metric.open()) for metric in metrics)


def directions(columns: Sequence[Column]) -> dict[str, Better]:
    """Which way is better, by key; PI is there when both its parts are."""
    found: dict[str, Better] = {column.key: column.better for column in columns}
    return found | ({PI: "lower"} if {NIQE, MA} <= found.keys() else {})


def measure(columns: Sequence[Column], sr: Floats, hr: Floats, border: int) -> dict[str, float]:
    """The value of every column, and PI when both its parts are there."""
    values = {column.key: float(column.measure(sr, hr, border)) for column in columns}
    if {NIQE, MA} <= values.keys():
        values[PI] = perceptual_index(values[NIQE], values[MA])
    return values
