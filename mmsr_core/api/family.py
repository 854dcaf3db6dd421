"""Models by name, opened for a size: one bundle, or a family that differs only in its scale."""

import re
from collections.abc import Callable
from pathlib import Path

from mmsr_core.runtime.bundle import read_manifest
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.sizes import Size, passes
from mmsr_registry import Registry

FAMILY = "compact"
"""What is taken where nobody names a model."""
PLAIN = 4
"""The scale that a family has where nobody asks for one, if it has that; else its largest."""


def open_upscaler(
    model: str | Path | None = None,
    size: Size | None = None,
    device: str = "auto",
    threads: int | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> Upscaler:
    """Open what a size needs, where it is given, of a model; everything where it is None.

    `model` is a bundle's path or `name[@version]`, which does all of the enlarging alone, or a
    family: `compact` stands for all that are called `compact-x2`, `compact-x4` and so on, each
    used where it fits. None is `compact`. The rest is as of `Engine`, and so are the errors.
    """
    found = _directories(FAMILY if model is None else model)
    plain = PLAIN if PLAIN in found else max(found)
    scales = [plain, *(scale for scale in sorted(found) if scale != plain)]
    asked = size or Size()
    if size is not None and size.plain:
        scales = [plain]
    elif asked.factor is not None:
        needed = passes(asked.factor, found)
        scales = [scale for scale in scales if scale in needed]
    engines = (Engine.open(found[scale], device, threads, notice) for scale in scales)
    return Upscaler(tuple(engines), asked)


def _directories(model: str | Path) -> dict[int, Path]:
    """The bundles that a name or a path means, by scale; BundleError when there is none."""
    registry = Registry()
    member = re.compile(rf"{re.escape(str(model))}-x\d+")
    names = {stored.name for stored in registry.list()}
    family = sorted(name for name in names if member.fullmatch(name))
    if isinstance(model, Path) or model in names or not family:
        directories = [registry.find(model)]
    else:
        directories = [registry.find(name) for name in family]
    return {read_manifest(directory).scale: directory for directory in directories}
