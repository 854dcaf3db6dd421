"""Encoder files: the weights of an extractor, with what builds it, in one safetensors file.

Metadata: {"format": "mmsr-encoder/1", "extractor": its name, "options": JSON, "note": free text}.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mmsr_core.errors import MmsrError, RecipeError
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice

FORMAT = "mmsr-encoder/1"


def save_encoder(
    path: Path, module: nn.Module, extractor: str, options: Mapping[str, Any], note: str = ""
) -> None:
    """Write `module`, which `extractor` built with `options`, to `path` in one step.

    `options` hold what JSON can: numbers, strings, lists. RecipeError when it can't be written.
    """
    # Cloned, since a file has no two names for one tensor.
    weights = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "extractor": extractor,
        "options": json.dumps(dict(options)),
        "note": note,
    }
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_bytes(save(weights, metadata))
        os.replace(beside, path)
    except OSError as error:
        raise RecipeError(f"{path}: cannot write the encoder ({error.strerror})") from None


def load_encoder(path: Path, catalog: Catalog) -> nn.Module:
    """The encoder in a file, with its weights, frozen and in eval mode, on the CPU.

    RecipeError when the file is no encoder file, its extractor is not installed, or its weights
    are not that extractor's.
    """
    weights, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none stated")
        raise RecipeError(f"{path}: not an encoder file (format {found}, wanted {FORMAT})")
    try:
        options = json.loads(metadata["options"])
        if not isinstance(options, dict):
            raise ValueError("its options are no table of names and values")
        choice = Choice(name=metadata["extractor"], options=options)
        extractor = catalog.extractor(choice.name)
        check_options(choice, extractor.build)
        module = extractor.build(**choice.options)
        module.load_state_dict(weights)
    except KeyError as error:
        raise RecipeError(f"{path}: a damaged encoder file, it has no {error}") from None
    except (MmsrError, TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None
    return module.eval().requires_grad_(False)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file; RecipeError when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it ({error.strerror or error})") from None
    except SafetensorError as error:
        raise RecipeError(f"{path}: not a safetensors file ({error})") from None
