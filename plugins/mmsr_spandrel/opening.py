"""A checkpoint as an upscaler: read without running anything in it, its architecture found."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import catch_warnings, simplefilter

import torch

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Loaded
from mmsr_spandrel.network import Upscaler

CHANNELS = (1, 3)
"""What an upscaler may take and give: grey, for each colour in turn, or RGB."""


def load(path: Path) -> Loaded:
    """The upscaler in a checkpoint.

    Only tensors are read: torch's `weights_only` for pickles, safetensors, and never TorchScript,
    which is code. PluginError when that fails, when spandrel knows no such architecture, or when
    it is no upscaler of RGB or grey pictures.
    """
    spandrel = import_spandrel()
    weights = _weights(path)
    try:
        found = spandrel.ModelLoader().load_from_state_dict(weights)
    except spandrel.UnsupportedModelError:
        raise PluginError(
            f"{path}: no architecture that spandrel {spandrel.__version__} knows has these weights"
        ) from None
    except Exception as error:  # whatever an architecture makes of wrong shapes
        raise PluginError(f"{path}: spandrel can't open it ({_line(error)})") from None
    name = found.architecture.name
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.purpose != "SR":
        raise PluginError(f"{path}: {name} is for {found.purpose.lower()}, and no upscaler")
    if found.input_channels not in CHANNELS or found.output_channels != found.input_channels:
        raise PluginError(
            f"{path}: {name} takes {found.input_channels} channels and gives "
            f"{found.output_channels}; an upscaler here has 3 (RGB) or 1 (grey) of both"
        )
    if found.tiling is spandrel.ModelTiling.INTERNAL or found.size_requirements.square:
        raise PluginError(f"{path}: {name} takes whole pictures of its own choice, and no tiles")
    return Loaded(module=Upscaler(found).eval(), architecture=name, scale=found.scale)


def _weights(path: Path) -> dict[str, Any]:
    from spandrel import canonicalize_state_dict

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            weights: Any = load_file(path)
        else:
            with catch_warnings():
                simplefilter("ignore")  # about pickles that are refused anyway
                weights = torch.load(path, map_location="cpu", weights_only=True)
        weights = canonicalize_state_dict(weights)
    except OSError as error:
        raise PluginError(f"{path}: cannot read it ({error.strerror or _line(error)})") from None
    except Exception as error:  # each format has an error of its own for damage
        raise PluginError(f"{path}: not a checkpoint of tensors alone ({_line(error)})") from None
    if not isinstance(weights, dict) or not weights:
        raise PluginError(f"{path}: holds no named weights")
    return weights


def import_spandrel() -> ModuleType:
    """spandrel, imported with or without torchvision; PluginError when it is not there."""
    if find_spec("spandrel") is None:
        raise PluginError("checkpoints need spandrel; pip install 'mmsr[spandrel]'")
    with _some_torchvision():
        return importlib.import_module("spandrel")


@contextmanager
def _some_torchvision() -> Iterator[None]:
    """A torchvision to import spandrel with, whether or not there is one that works.

    Two of spandrel's architectures take three names of torchvision; neither upscales. And a
    torchvision that was built for another torch, a CUDA one beside a torch for CPUs, is installed
    and can't be imported. Then spandrel gets the names, and nothing else sees them.
    """
    try:
        importlib.import_module("torchvision.transforms.functional")
    except Exception:  # a mismatch raises RuntimeError, or what its loader likes
        before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_its(name)}
    else:
        yield
        return
    functional = ModuleType("torchvision.transforms.functional")
    for name in ("InterpolationMode", "normalize", "rotate"):
        setattr(functional, name, None)
    transforms, package = ModuleType("torchvision.transforms"), ModuleType("torchvision")
    package.transforms, transforms.functional = transforms, functional  # type: ignore[attr-defined]
    stand_ins = {module.__name__: module for module in (package, transforms, functional)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)


def _is_its(module: str) -> bool:
    return module == "torchvision" or module.startswith("torchvision.")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
