"""A bundle's manifest: its facts, strictly typed, whoever wrote them.

Unknown keys are refused, every number has its bounds, and a path is a plain name inside the bundle
on every file system.
"""

import math
import re
from abc import abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from mmsr_core.errors import BundleError, no_such

FORMAT: Final = 1
MANIFEST = "manifest.json"
MOST_FILES = 256
_DEPTH = 16
"""How deeply the free parts of a manifest may nest."""
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows takes for a device in any folder."""


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.parts:
        raise ValueError(f'path "{path}" leaves the bundle')
    for part in path.split("/"):
        if not _PART.fullmatch(part) or part.endswith(".") or _DEVICES.fullmatch(part):
            raise ValueError(f'path "{path}" has a part that is no plain file name')
    if path.lower() == MANIFEST:
        raise ValueError(f'path "{path}" is the manifest\'s own')
    return path


def _free(value: Any, depth: int = 0) -> Any:
    """A free part of the manifest: JSON of finite numbers, not too deep."""
    if depth > _DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    if isinstance(value, int) and abs(value) > 2**63:
        raise ValueError("a number of more than 64 bits")
    for inner in value.values() if isinstance(value, dict) else ():
        _free(inner, depth + 1)
    for inner in value if isinstance(value, list | tuple) else ():
        _free(inner, depth + 1)
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
VERSION = r"^(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}$"
Version = Annotated[str, StringConstraints(pattern=VERSION)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")]
InnerPath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0, le=1e15)]
Count = Annotated[float, Field(ge=0, le=1e15)]
Radius = Annotated[int, Field(ge=0, le=4096)]
Line = Annotated[str, StringConstraints(max_length=1000)]
Free = Annotated[dict[str, Any], AfterValidator(_free)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Expert(_Frozen):
    """One upscaling graph: tiles (n,3,h,w) → upscaled (n,3,s·h,s·w)."""

    name: Name
    backbone: Line
    depth: Annotated[int, Field(ge=0, le=100_000)]
    graph: InnerPath
    macs: Count
    """Multiply-accumulates per LR pixel."""
    cost: Positive
    """Measured time per LR pixel, relative to the bundle's slowest expert (1.0)."""
    radius: Radius | None
    """Receptive radius in LR pixels; None when the network looks at the whole image."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    exact: InnerPath | None = None
    """Its fp32 graph: for answers that are not finite, and for GPUs, which gain nothing by int8."""
    exact_cost: Positive | None = None
    """What `exact` costs, in the unit of `cost`."""
    memory: Positive | None = None
    """Bytes that a run holds per LR pixel; None: nobody has measured it."""
    reason: Line = ""
    """Why the export gave the expert this precision."""

    @model_validator(mode="after")
    def _exact_fits(self) -> Self:
        if (self.exact is None) != (self.exact_cost is None):
            raise ValueError("exact and exact_cost go together")
        if self.exact is not None and (self.precision == "fp32" or self.exact == self.graph):
            raise ValueError("exact is for a graph that is not fp32, and another file")
        return self


class Route(_Frozen):
    """What a class means: the experts that run, and the fuser that joins several answers."""

    experts: Annotated[tuple[Name, ...], Field(min_length=1)]
    fuser: Name | None = None


class Fuser(_Frozen):
    """A graph that joins candidates (n,k,3,h,w) → fused (n,3,h,w)."""

    graph: InnerPath
    radius: Radius = 0


class Router(_Frozen):
    """The graph that scores cells: tiles (n,3,t,t) → features, and probs or errors."""

    graph: InnerPath
    output: Literal["probs", "errors"]
    features: Annotated[tuple[Line, ...], Field(max_length=4096)]
    cost: Count = 0
    """Measured time per LR pixel, in the unit of the experts' costs; 0: nobody has measured it."""


class Tiles(_Frozen):
    """How an image is cut, in LR pixels."""

    cell: Annotated[int, Field(ge=8, le=1024)]
    halo: Annotated[int, Field(ge=0, le=1024)]
    """Real context around a region, computed and thrown away."""
    seam: Annotated[int, Field(ge=0, le=64)]
    """Half the width of the cross-fade between regions of different routes."""

    @model_validator(mode="after")
    def _seam_fits(self) -> Self:
        if 2 * self.seam > self.cell:
            raise ValueError("seam is wider than half a cell")
        return self


class Effort(_Frozen):
    """The time/quality knob: `prices` maps effort in [0,1] to λ, falling, piecewise linear."""

    default: Share
    prices: tuple[tuple[Share, Count], ...] = ()


class Made(_Frozen):
    """Where a bundle comes from; informative, never read by the engine."""

    by: str
    versions: dict[str, str] = {}
    recipe: Free = {}
    data: tuple[dict[str, str], ...] = ()
    scores: Free = {}


class Facts(_Frozen):
    """What every kind of bundle says of itself; unknown keys are refused."""

    format: Literal[1] = FORMAT
    name: Name
    version: Version
    files: Annotated[dict[InnerPath, Sha256], Field(max_length=MOST_FILES)]
    made: Made

    @model_validator(mode="after")
    def _one_spelling(self) -> Self:
        if len({path.lower() for path in self.files}) < len(self.files):
            raise ValueError("two files differ only in upper and lower case")
        return self

    @property
    @abstractmethod
    def graphs(self) -> frozenset[str]:
        """The paths of all its graphs."""


class Manifest(Facts):
    """The facts of a bundle that upscales; unknown keys are refused."""

    kind: Literal["upscaler"] = "upscaler"
    scale: Annotated[int, Field(ge=1, le=16)]
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=64)]
    routes: dict[ClassName, Route]
    experts: Annotated[tuple[Expert, ...], Field(min_length=1, max_length=64)]
    fusers: dict[Name, Fuser] = {}
    router: Router
    tiles: Tiles
    effort: Effort

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [expert.name for expert in self.experts]
        if len(set(names)) != len(names):
            raise ValueError("two experts share one name")
        if set(self.routes) != set(self.classes):
            raise ValueError("routes and classes name different classes")
        for label, route in self.routes.items():
            if len(set(route.experts)) != len(route.experts):
                raise ValueError(f"route {label}: names an expert twice")
            for name in route.experts:
                if name not in names:
                    raise ValueError(f"route {label}: " + no_such("expert", name, names, "here"))
            if (len(route.experts) > 1) != (route.fuser is not None):
                raise ValueError(f"route {label}: a fuser is for two or more experts")
            if route.fuser is not None and route.fuser not in self.fusers:
                message = no_such("fuser", route.fuser, self.fusers, "here")
                raise ValueError(f"route {label}: {message}")
        if missing := sorted(self.graphs - set(self.files)):
            raise ValueError(f"no hash for {missing[0]}")
        return self

    @property
    def graphs(self) -> frozenset[str]:
        """The paths of all its graphs."""
        found = {self.router.graph, *(fuser.graph for fuser in self.fusers.values())}
        found |= {path for e in self.experts for path in (e.graph, e.exact) if path is not None}
        return frozenset(found)

    def expert(self, name: str) -> Expert:
        """The expert of that name; BundleError with the nearest name otherwise."""
        for expert in self.experts:
            if expert.name == name:
                return expert
        raise BundleError(no_such("expert", name, (e.name for e in self.experts), self.name))

    @property
    def deepest(self) -> Expert:
        """The expert that costs most, the one a plain upscaler would run everywhere."""
        return max(self.experts, key=lambda expert: expert.cost)

    def route_cost(self, label: str) -> float:
        """Summed cost of a route's experts, in the deepest expert's time per LR pixel."""
        return sum(self.expert(name).cost for name in self.routes[label].experts)
