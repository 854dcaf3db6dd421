"""Fixtures that several parts of the tests share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mmsr_core.runtime.bundle import Bundle, Manifest, digest, write_bundle


def pytest_configure() -> None:
    """Give torch one thread, here and in what tests start: on images this small more cost time."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several workers one runs a whole file, and all that start a cluster: two would meet."""
    for item in items:
        folder = item.path.parent.name
        group = "clusters" if folder in ("cluster", "nodes") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


EMPTY = b"\x08\x08\x3a\x00\x12"
"""An ONNX model of nothing, up to the name of its maker."""
GRAPHS = {
    "router.onnx": EMPTY + b"\x06router",
    "experts/small.onnx": EMPTY + b"\x05small",
    "experts/large.onnx": EMPTY + b"\x05large",
}
"""Bytes that pass for graphs wherever nobody runs them."""


def make_facts(**changes: Any) -> dict[str, Any]:
    """A manifest's facts for GRAPHS, with some keys changed."""
    expert = {"backbone": "compact", "depth": 1, "macs": 100.0, "radius": 2}
    facts = {
        "format": 1,
        "kind": "upscaler",
        "name": "tiny-x2",
        "version": "1.0.0",
        "scale": 2,
        "classes": ["SIMPLE", "COMPLEX"],
        "routes": {"SIMPLE": {"experts": ["small"]}, "COMPLEX": {"experts": ["large"]}},
        "experts": [
            {**expert, "name": "small", "graph": "experts/small.onnx", "cost": 0.1},
            {**expert, "name": "large", "graph": "experts/large.onnx", "cost": 1.0},
        ],
        "router": {"graph": "router.onnx", "output": "probs", "features": ["contrast"]},
        "tiles": {"cell": 32, "halo": 6, "seam": 2},
        "effort": {"default": 0.5},
        "files": digest(GRAPHS),
        "made": {
            "by": "a test",
            "data": [{"source": "generated", "licence": "CC0-1.0"}],
            "scores": {"psnr_y": {"SIMPLE": 30.5}},
        },
    }
    return facts | changes


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    """make_bundle(directory, **changes): a sound bundle on disk, its graphs arbitrary bytes."""

    def make(directory: Path, **changes: Any) -> Bundle:
        return write_bundle(directory, Manifest.model_validate(make_facts(**changes)), GRAPHS)

    return make


@pytest.fixture
def facts() -> dict[str, Any]:
    """The facts of the bundle that `make_bundle` makes, to be spoiled."""
    return make_facts()


settings.register_profile(
    "mmsr",
    deadline=None,  # machines are busy; a slow law is still a law
    derandomize="CI" in os.environ,  # where the same commit should fare alike
)
settings.load_profile("mmsr")


@pytest.fixture(scope="session")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ×2 bundle on disk that runs: dark cells go to a nearest neighbour, others to a network."""
    from graphs import write_upscaler

    return write_upscaler(tmp_path_factory.mktemp("models") / "tiny-x2").directory
