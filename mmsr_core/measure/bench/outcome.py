"""What a benchmark found."""

from dataclasses import asdict, dataclass
from typing import Any

from mmsr_core.measure.evaluation import Kind, Photograph, finite

SEEN = 100.0
"""dB: what is nearer to the original than that is not told apart."""


@dataclass(frozen=True)
class Standing:
    """One contender over all photographs.

    `seconds` from file to file are the sum of its medians; `time` and `upscaling` are shares of
    what the deepest expert takes on the whole images, from file to file and from array to array,
    and `slowest` is the greatest `time` of any photograph. `lost` and `worst` are in dB against
    the deepest expert, the mean and the worst photograph. `stages` are shares of the seconds.
    `peak` in bytes and `first` in seconds are a fresh process's, for the largest photograph.
    """

    name: str
    kind: Kind
    psnr_y: float
    lost: float
    worst: float
    seconds: float
    time: float
    slowest: float
    upscaling: float
    megapixels_in: float
    """Megapixels per second."""
    megapixels_out: float
    peak: int | None
    first: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Routing:
    """What the router did at one effort, and the oracle, which is computed and not run.

    `classes` are shares of the cells; `overlap` counts the pixels computed beyond those of the
    photographs, to be thrown away or blended, over these. `cost` is what the plans should take,
    `oracle` the cheapest plans as good, both in the deepest expert's time on the whole images;
    `kept` is the share of the oracle's saving.
    """

    name: str
    effort: float
    classes: dict[str, float]
    overlap: float
    cost: float
    oracle: float
    kept: float | None


@dataclass(frozen=True)
class Outcome:
    """The standings, experts first; `frontier` has (time, lost) of the oracle as standings do."""

    model: str
    device: str
    machine: dict[str, Any]
    load: tuple[float | None, float | None]
    """Of the machine before and after."""
    repeats: int
    spread: float | None
    """How far the rounds of one contender on one photograph lie apart, over their median: the
    median of all. None for one round."""
    deepest: str
    megapixels: tuple[float, float]
    """All photographs together, before and after."""
    standings: tuple[Standing, ...]
    routings: tuple[Routing, ...]
    frontier: tuple[tuple[float, float], ...]
    absent: tuple[str, ...]
    per_image: tuple[Photograph, ...]

    def standing(self, name: str) -> Standing:
        """The standing of that name."""
        return next(one for one in self.standings if one.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain data; a value that is infinite or missing becomes None."""
        return {
            "model": self.model,
            "device": self.device,
            "machine": self.machine,
            "load": dict(zip(("before", "after"), self.load, strict=True)),
            "images": len(self.per_image),
            "megapixels": dict(zip(("in", "out"), self.megapixels, strict=True)),
            "repeats": self.repeats,
            "spread": self.spread,
            "deepest": self.deepest,
            "contenders": [asdict(one) | finite({"psnr_y": one.psnr_y}) for one in self.standings],
            "routings": [asdict(routing) for routing in self.routings],
            "oracle": [{"time": time, "lost": lost} for time, lost in self.frontier],
            "absent": list(self.absent),
            "per_image": [
                asdict(photo) | {"rows": {name: finite(row) for name, row in photo.rows.items()}}
                for photo in self.per_image
            ],
        }


def psnr_seen(psnr: float) -> float:
    """A PSNR in dB, at most SEEN."""
    return min(SEEN, psnr)
