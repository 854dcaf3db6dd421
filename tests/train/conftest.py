"""Photographs, recipes and a catalog for training in seconds."""

from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.recipe import Recipe, parse

PLUGINS = ("compact", "esrgan", "forest", "fusion", "msrresnet", "srgan", "texture")
REQUEST: dict[str, Any] = {
    "name": "tiny-x2",
    "scale": 2,
    "seed": 3,
    "data": [{"folder": "photos"}],
    "split": {"experts": 0.5, "router": 0.3, "test": 0.2},
    "tiles": {"cell": 16, "halo": 4},
    "training": {"steps": 6, "batch": 2, "patch": 12, "warmup": 2, "save_every": 3},
    "experts": [
        {"name": "floor", "backbone": "bicubic"},
        {"name": "small", "backbone": "compact", "depth": 1, "options": {"channels": 4}},
        {"name": "large", "backbone": "compact", "depth": 2, "options": {"channels": 8}},
    ],
    "router": {"classifier": {"name": "forest", "options": {"trees": 5}}},
    "routes": {
        "SIMPLE": {"experts": ["floor", "small"], "fuser": "edge"},
        "MODERATE": "small",
        "COMPLEX": "large",
    },
}


@pytest.fixture
def asked() -> dict[str, Any]:
    """A tiny recipe as TOML would give it, to be changed."""
    return deepcopy(REQUEST)


@pytest.fixture
def recipe(asked: dict[str, Any]) -> Recipe:
    """The tiny recipe, valid."""
    return parse(asked, "recipe")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The built-in components, installed or not."""
    return Catalog.load([EntryPoint(name, f"mmsr_{name}", "mmsr") for name in PLUGINS])


@pytest.fixture
def make_photos() -> Callable[..., Path]:
    """make_photos(folder, count, height, width): distinct photographs of noise and ramps."""

    def make(folder: Path, count: int = 10, height: int = 60, width: int = 84) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng(index)
            coarse = rng.random((8, 8, 3), np.float32)
            ramp = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
            noise = (
                rng.normal(0, 0.15, (height, width, 3)) * (np.arange(width) > width / 2)[:, None]
            )
            pixels = np.clip((ramp + noise) * 255, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{index:02}.png"), pixels)
        return folder

    return make
