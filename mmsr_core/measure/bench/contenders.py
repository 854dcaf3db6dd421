"""Who takes part in a benchmark: plain data, which a fresh process can open as well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mmsr_core.errors import BundleError
from mmsr_core.measure.bench.peers import open_peer
from mmsr_core.measure.evaluate import Upscale, expert_row, model_title, routed, routed_row, whole
from mmsr_core.measure.evaluation import Kind
from mmsr_core.runtime.bundle import Manifest, read_manifest
from mmsr_core.runtime.engine import Engine

EFFORTS = (0.0, 0.25, 0.5, 1.0)
"""Where the routed engine is measured besides the model's own effort."""

Engines = Callable[[Path], Engine]
"""The engine of a bundle's directory, opened once."""


@dataclass(frozen=True)
class Contender:
    """One way to upscale, not opened yet.

    `source` is a bundle's directory, or a peer's checkpoint; `expert` runs on the whole image;
    `effort` is the routed engine's, None for the model's own.
    """

    name: str
    kind: Kind
    scale: int
    device: str
    source: Path | None = None
    expert: str | None = None
    effort: float | None = None

    def open(self, engines: Engines) -> Upscale:
        """Ready to run; MmsrError where a model or a checkpoint is not usable."""
        if self.kind == "peer":
            return open_peer(self.name, self.scale, self.device, self.source)
        assert self.source is not None
        engine = engines(self.source)
        if self.expert is None:
            return routed(engine, self.effort)
        return whole(engine, self.expert)

    def as_json(self) -> dict[str, Any]:
        """Plain data, which `from_json` reads."""
        return vars(self) | {"source": None if self.source is None else str(self.source)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """What `as_json` made."""
        source = facts["source"]
        return cls(**{**facts, "source": None if source is None else Path(source)})


def own(manifest: Manifest, source: Path, device: str, efforts: Sequence[float]) -> list[Contender]:
    """A model's experts, cheapest first, and its routed engine by rising effort.

    The model's own effort is always there; an equal one is not run twice.
    """
    scale = manifest.scale
    found = [
        Contender(expert_row(expert.name), "expert", scale, device, source, expert=expert.name)
        for expert in sorted(manifest.experts, key=lambda expert: expert.cost)
    ]
    default = manifest.effort.default
    knobs: dict[float, float | None] = {**{effort: effort for effort in efforts}, default: None}
    found += [
        Contender(routed_row(knobs[effort]), "routed", scale, device, source, effort=knobs[effort])
        for effort in sorted(knobs)
    ]
    return found


def others(sources: Sequence[Path], scale: int, device: str) -> list[Contender]:
    """Other bundles, each its deepest expert everywhere; BundleError when one has another scale
    or is given twice."""
    found: dict[str, Contender] = {}
    for source in sources:
        manifest = read_manifest(source)
        title = model_title(manifest)
        if manifest.scale != scale:
            raise BundleError(f"{title} upscales by {manifest.scale}, not by {scale}")
        if title in found:
            raise BundleError(f"{title} is there twice; give one of them another name or version")
        deepest = manifest.deepest.name
        found[title] = Contender(title, "against", scale, device, source, expert=deepest)
    return list(found.values())
