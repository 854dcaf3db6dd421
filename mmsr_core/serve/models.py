"""The models that a server has: those of the registry, each opened when it is first asked for."""

import statistics
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsr_core.errors import BundleError, no_such
from mmsr_core.runtime.bundle import Manifest, read_manifest
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.sizes import Size
from mmsr_core.serve.problem import Problem
from mmsr_registry import Registry

FIRST = "compact-x4"
"""The model that is taken where a request names none and the server was given none."""
LATEST = 16
"""Pictures that a pace is the median of."""
_PROBE = 96
"""Side of the noise that a pace is measured on before there is any picture."""
_ENCODED = 1e-7
"""Seconds that a pixel takes to be encoded, before anything was."""


@dataclass(frozen=True)
class Pace:
    """How fast this machine is: what predictions rest on. Pictures make it exact."""

    experts: deque[float]
    """Seconds for what the deepest route does to one LR pixel."""
    files: dict[str, deque[float]] = field(default_factory=dict)
    """Seconds to decode and encode one pixel of the answer, by its suffix."""

    def learn(self, suffix: str, work: float, pixels: float, stages: dict[str, float]) -> None:
        """Take in how a picture went: `work` in LR pixels of the deepest route, `pixels` made."""
        files = stages.get("decode", 0.0) + stages.get("encode", 0.0)
        self.experts.append((sum(stages.values()) - files) / max(work, 1.0))
        self.files.setdefault(suffix, deque(maxlen=LATEST)).append(files / pixels)

    def seconds(self, suffix: str, work: float, pixels: float) -> float:
        """How long a picture will be at work."""
        encoded = statistics.median(self.files.get(suffix) or [_ENCODED])
        return statistics.median(self.experts) * work + encoded * pixels


@dataclass(frozen=True)
class Served:
    """An opened model and its pace."""

    engine: Engine
    pace: Pace

    def sized(self, size: Size) -> Upscaler:
        """The model, to make pictures of that size."""
        return Upscaler((self.engine,), size)


class Models:
    """Models by name. Several threads may ask at once."""

    def __init__(
        self,
        asked: Sequence[str] = (),
        device: str = "auto",
        notice: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Those that were asked for, names or paths, else all of the registry's upscalers.

        The first is opened at once. BundleError when one is missing or damaged.
        """
        self._device, self._notice = device, notice
        self._directories = _directories(asked)
        self.default = (
            FIRST if not asked and FIRST in self._directories else next(iter(self._directories))
        )
        self.manifests = {name: read_manifest(path) for name, path in self._directories.items()}
        self._opened: dict[str, Served] = {}
        self._opening = threading.Lock()
        self.open(None)

    @property
    def device(self) -> str:
        """What they run on."""
        return self.open(None).engine.device.name

    @property
    def is_gpu(self) -> bool:
        """Whether that is a GPU."""
        return self.open(None).engine.device.is_gpu

    def manifest(self, name: str | None) -> Manifest:
        """A model's facts; Problem 422 when there is none of that name."""
        name = name or self.default
        if name not in self.manifests:
            raise Problem(422, no_such("model", name[:80], self.manifests, "here"))
        return self.manifests[name]

    def open(self, name: str | None) -> Served:
        """A model, opened; the default one where none is named."""
        self.manifest(name)
        name = name or self.default
        if name in self._opened:
            return self._opened[name]
        with self._opening:
            if name not in self._opened:
                engine = Engine.open(self._directories[name], self._device, None, self._notice)
                self._opened[name] = Served(engine, Pace(deque([_first_pace(engine)], LATEST)))
            return self._opened[name]


def _directories(asked: Sequence[str]) -> dict[str, Path]:
    """The bundles to serve, by the names that requests give them."""
    registry = Registry()
    if asked:
        paths = [registry.find(spec) for spec in asked]
    else:  # oldest first: the newest version of a name stays
        paths = list({model.name: model.directory for model in registry.list()}.values())
    found: dict[str, Path] = {}
    for path in paths:
        try:
            found[read_manifest(path).name] = path
        except BundleError:
            if asked:  # a codec, or a damaged one that nobody asked for, is no reason not to start
                raise
    if not found:
        raise BundleError("no model to serve; mmsr models add stores one")
    return found


def _first_pace(engine: Engine) -> float:
    """Seconds for one LR pixel of the deepest route, from noise; the first run only warms up."""
    noise = np.random.default_rng(0).random((_PROBE, _PROBE, 3), np.float32)
    for _ in range(2):
        done = engine.upscale(noise, effort=1.0)
    return sum(done.seconds.values()) / done.plan.work
