"""Checkpoints of the architectures that spandrel knows, by the extra `spandrel`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmsr_core.plugin.components import Loaded, Loader
from mmsr_core.plugin.hookspecs import hookimpl


def _load(path: Path) -> Loaded:
    from mmsr_spandrel.opening import load

    return load(path)


@hookimpl
def register_loaders() -> Iterable[Loader]:
    yield Loader(
        name="spandrel",
        summary="checkpoints of some forty architectures, found out from their weights",
        suffixes=(".pth", ".pt", ".ckpt", ".safetensors"),
        load=_load,
    )
