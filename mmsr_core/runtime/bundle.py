"""A bundle: the directory that deploys. manifest.json, graphs, and the hash of each of them.

A bundle is data from strangers: nothing in it is executed by Python, every path stays inside
it, and a graph's bytes are checked against the manifest before anybody parses them.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from mmsr_core.errors import BundleError, no_such

FORMAT: Final = 1
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 4 * 2**20


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.parts:
        raise ValueError(f'path "{path}" leaves the bundle')
    return path


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
ClassName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")]
InnerPath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Expert(_Frozen):
    """One upscaling graph: tiles (n,3,h,w) → upscaled (n,3,s·h,s·w)."""

    name: Name
    backbone: str
    depth: int
    graph: InnerPath
    macs: Annotated[float, Field(ge=0)]
    """Multiply-accumulates per LR pixel."""
    cost: Positive
    """Measured time per LR pixel, relative to the bundle's slowest expert (1.0)."""
    radius: Annotated[int, Field(ge=0)] | None
    """Receptive radius in LR pixels; None when the network looks at the whole image."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    exact: InnerPath | None = None
    """Its fp32 graph: for answers that are not finite, and for GPUs, which gain nothing by int8."""
    exact_cost: Positive | None = None
    """What `exact` costs, in the unit of `cost`."""
    memory: Positive | None = None
    """Bytes that a run holds per LR pixel; None: nobody has measured it."""
    reason: str = ""
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
    radius: Annotated[int, Field(ge=0)] = 0


class Router(_Frozen):
    """The graph that scores cells: tiles (n,3,t,t) → features, and probs or errors."""

    graph: InnerPath
    output: Literal["probs", "errors"]
    features: tuple[str, ...]


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
    prices: tuple[tuple[Share, Annotated[float, Field(ge=0)]], ...] = ()


class Made(_Frozen):
    """Where a bundle comes from; informative, never read by the engine."""

    by: str
    versions: dict[str, str] = {}
    recipe: dict[str, Any] = {}
    data: tuple[dict[str, str], ...] = ()
    scores: dict[str, Any] = {}


class Manifest(_Frozen):
    """The facts of a bundle; unknown keys are refused."""

    format: Literal[1] = FORMAT
    kind: Literal["upscaler"] = "upscaler"
    name: Name
    version: Version
    scale: Annotated[int, Field(ge=1, le=16)]
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=64)]
    routes: dict[ClassName, Route]
    experts: Annotated[tuple[Expert, ...], Field(min_length=1, max_length=64)]
    fusers: dict[Name, Fuser] = {}
    router: Router
    tiles: Tiles
    effort: Effort
    files: dict[InnerPath, Sha256]
    made: Made

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
        graphs = [self.router.graph, *(fuser.graph for fuser in self.fusers.values())]
        graphs += [path for e in self.experts for path in (e.graph, e.exact) if path is not None]
        if missing := sorted(set(graphs) - set(self.files)):
            raise ValueError(f"no hash for {missing[0]}")
        return self

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


@dataclass(frozen=True)
class Bundle:
    """A manifest and the directory whose files have been checked against it."""

    manifest: Manifest
    directory: Path

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Read and verify a bundle directory; BundleError names the first thing wrong."""
        directory = Path(directory)
        bundle = cls(read_manifest(directory), directory)
        bundle.verify()
        return bundle

    def verify(self) -> None:
        """Check every file's presence and hash."""
        for name in self.manifest.files:
            self.graph(name)

    def graph(self, name: str) -> bytes:
        """The bytes of one file, checked: what was hashed is what the caller parses."""
        path = self.directory / name
        try:
            if not path.resolve().is_relative_to(self.directory.resolve()):
                raise BundleError(f"{self.directory}: {name} is a link that leaves the bundle")
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"{self.directory}: cannot read {name} ({error.strerror}); fetch the bundle again"
            ) from None
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name]:
            raise BundleError(
                f"{self.directory}: {name} is not what the manifest promises (its SHA-256 "
                "differs): damaged or changed; fetch the bundle again"
            )
        return data


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a bundle directory, validated, its files not yet looked at."""
    path = directory / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise BundleError(f"{path}: larger than {MANIFEST_LIMIT >> 20} MiB, not a manifest")
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{directory}: not a bundle, it has no {MANIFEST}") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot read it ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({error})") from None
    version = data.get("format") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{path}: format {version} is newer than this mmsr reads ({FORMAT}); upgrade mmsr"
        )
    try:
        return Manifest.model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def digest(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file, as a manifest lists them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def write_bundle(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle atomically: made beside its place, then renamed into it.

    Raises BundleError when `directory` exists or can't be written.
    """
    if directory.exists():
        raise BundleError(f"{directory}: exists already; remove it or choose another --out")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise BundleError(f"{directory}: cannot write there ({error.strerror})") from None
    try:
        for name, data in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(data)
        (work / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        work.chmod(0o755)
        os.rename(work, directory)
    except OSError as error:
        raise BundleError(f"{directory}: cannot write there ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Bundle(manifest, directory)
