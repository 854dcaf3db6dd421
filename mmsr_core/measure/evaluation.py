"""What an evaluation found: a row for every way to upscale, over the folder and per image."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["bicubic", "expert", "routed", "against", "peer", "computed"]
"""peer: somebody else's program; computed: worked out afterwards, not run."""


@dataclass(frozen=True)
class Row:
    """One way to upscale: the mean of every metric, total seconds and MACs of the folder."""

    name: str
    kind: Kind
    values: Mapping[str, float]
    seconds: float
    macs: float


@dataclass(frozen=True)
class Photograph:
    """One HR image, cut to a multiple of the scale: every row's metrics and its seconds."""

    file: str
    width: int
    height: int
    rows: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """The rows of one folder, cheapest first, and the share of tiles that each class got."""

    model: str
    device: str
    images: int
    rows: tuple[Row, ...]
    classes: dict[str, float]
    stages: dict[str, float]
    """Seconds of the routed engine by stage, over the folder."""
    better: Mapping[str, str]
    """Which way is better, "higher" or "lower", of every metric."""
    measured: Mapping[str, int]
    """How many images a metric's means are over: those on which every row has a value."""
    per_image: tuple[Photograph, ...]
    deepest: str
    """The row of the deepest expert, which times are compared with."""

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain data; a value that is infinite or missing becomes None."""
        return {
            "model": self.model,
            "device": self.device,
            "images": self.images,
            "deepest": self.deepest,
            "metrics": {
                key: {"better": better, "images": self.measured[key]}
                for key, better in self.better.items()
            },
            "rows": [
                {"name": row.name, **finite(row.values), "seconds": row.seconds, "macs": row.macs}
                for row in self.rows
            ],
            "classes": self.classes,
            "stages": self.stages,
            "per_image": [
                asdict(photo) | {"rows": {name: finite(row) for name, row in photo.rows.items()}}
                for photo in self.per_image
            ],
        }

    def as_table(self) -> Iterator[list[object]]:
        """Heads, then a line per image and row; infinity is inf, a missing value is empty."""
        yield ["file", "row", "width", "height", *self.better, "seconds"]
        for photo in self.per_image:
            for name, row in photo.rows.items():
                values = ["" if math.isnan(row[key]) else row[key] for key in self.better]
                yield [photo.file, name, photo.width, photo.height, *values, row["seconds"]]


def means(
    photographs: Sequence[Photograph], names: Sequence[str], keys: Sequence[str]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Means by row and metric, and over how many images each metric's are.

    An image on which one row has no value counts for none of them, so that rows compare.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    measured = {}
    for key in keys:
        values = np.array([[photo.rows[name][key] for name in names] for photo in photographs])
        values = values[~np.isnan(values).any(axis=1)]
        measured[key] = len(values)
        for name, column in zip(names, values.T, strict=True):
            found[name][key] = float(column.mean()) if len(column) else math.nan
    return found, measured


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values for JSON: what is infinite or missing becomes None."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def title(key: str) -> str:
    """A metric's key as people read it: psnr_y → PSNR-Y."""
    return key.upper().replace("_", "-")
