"""The files that a report reads: a run's, an evaluation's, a study's and a store's.

They may be damaged or somebody else's: what a report needs of them is checked, the rest ignored.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.bundle import ClassName, Name, Share, Version

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Source(_File):
    """A folder of photographs, and the store of its tiles."""

    folder: str
    store: str | None = None


class Planned(_File):
    """An expert as the recipe asks for it."""

    name: Name
    backbone: str
    depth: int = 0
    options: dict[str, Any] = {}
    tiles: Literal["class", "all"] | None = None


class Route(_File):
    """The experts that answer for a class."""

    experts: Annotated[tuple[Name, ...], Field(min_length=1)]


class Recipe(_File):
    """What a run was asked to train."""

    name: Name
    version: Version
    scale: Count
    data: tuple[Source, ...]
    experts: Annotated[tuple[Planned, ...], Field(min_length=1)]
    routes: dict[ClassName, Route]


class Record(_File):
    """What training an expert took: training.json."""

    expert: Name
    backbone: str
    depth: int
    options: dict[str, Any]
    discriminator: dict[str, Any] = {}
    classes: tuple[str, ...] | None
    """The classes whose tiles it learned from; None means all tiles."""
    tiles: Count | None
    bytes: Count | None
    steps: Count
    adversarial_steps: Count = 0
    batch: Count
    parameters: Count
    seconds: Amount
    waited: Amount
    """Seconds of them in which the device stood still for data."""
    device: str
    node: str | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def label(self) -> str:
        """Its depth, as in "16", and with a discriminator's layers, as in "16-8"."""
        layers = self.discriminator.get("layers")
        return f"{self.depth}-{layers}" if self.adversarial_steps and layers else f"{self.depth}"

    @property
    def epochs(self) -> float | None:
        """Passes over its tiles; None for photographs, which have no number of tiles."""
        return (
            (self.steps + self.adversarial_steps) * self.batch / self.tiles if self.tiles else None
        )

    @property
    def busy(self) -> float | None:
        """The share of its time in which the device had data."""
        return 1 - min(self.waited / self.seconds, 1.0) if self.seconds else None


class Scores(_File):
    """What a run measured on its test split: dB by route."""

    psnr_y: dict[str, float]


class Depths(_File):
    """The depth table, class by expert; a row is None where the test split has no such tile."""

    classes: tuple[str, ...]
    experts: tuple[str, ...]
    tiles: tuple[Count, ...]
    psnr_y: tuple[tuple[float, ...] | None, ...]
    wins: tuple[tuple[Share, ...] | None, ...]

    @model_validator(mode="after")
    def _even(self) -> "Depths":
        if not len(self.classes) == len(self.tiles) == len(self.psnr_y) == len(self.wins):
            raise ValueError("every class needs a row")
        for row in (*self.psnr_y, *self.wins):
            if row is not None and len(row) != len(self.experts):
                raise ValueError("every expert needs a column")
        return self


class EvaluatedRow(_File):
    """One way to upscale, over the folder; its metrics are the other keys."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    name: str
    seconds: Amount

    def values(self) -> dict[str, Any]:
        """The metrics by key."""
        return self.model_extra or {}


class Metric(_File):
    """Which way is better."""

    better: Literal["higher", "lower"]


class Photograph(_File):
    """One image: every row's metrics and seconds; None where a value is infinite or missing."""

    file: str
    width: Count
    height: Count
    rows: dict[str, dict[str, float | None]]


class Evaluation(_File):
    """What `mmsr evaluate --json` wrote."""

    model: str
    device: str
    images: Count
    rows: tuple[EvaluatedRow, ...]
    metrics: dict[str, Metric]
    per_image: tuple[Photograph, ...]

    @property
    def scene(self) -> tuple[tuple[str, int, int], ...]:
        """What was evaluated on; evaluations on the same photographs can be averaged."""
        return tuple((photo.file, photo.width, photo.height) for photo in self.per_image)

    @property
    def photographs(self) -> str:
        """What to call the photographs; the file doesn't know their folder."""
        if not self.per_image:
            return "no images"
        first = self.per_image[0].file
        return first if self.images == 1 else f"{self.images} images ({first} …)"

    def mean(self, row: str, metric: str) -> float | None:
        """A row's mean of a metric over the folder; None where there is none."""
        found = next((one for one in self.rows if one.name == row), None)
        value = found.values().get(metric) if found else None
        return float(value) if isinstance(value, int | float) else None


class Outcome(_File):
    """How a router fares on one set of photographs, at the study's loss."""

    cost: Amount
    kept: float | None
    agreement: float | None


class Studied(_File):
    """One router of a study."""

    router: str
    features: str
    cell: Count
    options: dict[str, Any]
    microseconds: float | None
    sets: dict[str, Outcome]


class Study(_File):
    """What `mmsr study` wrote; its first set is the run's own router split."""

    tolerance: Amount
    costs: str
    photographs: Annotated[dict[str, Count], Field(min_length=1)]
    rows: tuple[Studied, ...]

    @model_validator(mode="after")
    def _even(self) -> "Study":
        for row in self.rows:
            if missing := self.photographs.keys() - row.sets.keys():
                raise ValueError(f"{row.router} has no outcome on {min(missing)}")
        return self


class Both(_File):
    """All tiles, and those that pruning kept."""

    all: Count
    kept: Count


class Store(_File):
    """What `mmsr prepare` made of a folder: store.json."""

    scale: Count
    tile: Count
    tiles: Both
    bytes: Both
    pruned: Share


FileKind = TypeVar("FileKind", bound=_File)


def read(path: Path, kind: type[FileKind]) -> FileKind:
    """Read one JSON file; MmsrError with the first thing in it that is missing or wrong."""
    try:
        return kind.model_validate(json.loads(path.read_bytes(), parse_constant=_refuse))
    except OSError as error:
        raise MmsrError(f"{path}: cannot read it ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise MmsrError(f"{path}: {where}: {first['msg']}; was it made by mmsr?") from None
    except (ValueError, RecursionError) as error:
        raise MmsrError(f"{path}: not JSON ({error})") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
