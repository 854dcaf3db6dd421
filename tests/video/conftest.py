"""An engine whose answers can be told from its input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import graph, nearest, write_upscaler
from onnx import helper

from mmsr_core.runtime.engine import Engine


@pytest.fixture(scope="session")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A ×2 engine that repeats every pixel, with a router of two routes."""
    directory = tmp_path_factory.mktemp("models") / "doubling-x2"
    tiles = {"cell": 32, "halo": 2, "seam": 1}
    write_upscaler(directory, {"dear.onnx": nearest()}, tiles=tiles)
    return Engine.open(directory, "cpu", 1)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A ×2 engine that sharpens, and so looks beyond a pixel, where it is not dark."""
    kernel = np.full((3, 3), -0.05, np.float32)
    kernel[1, 1] = 1.4
    weights = np.einsum("oi,hw->oihw", np.eye(3, dtype=np.float32).repeat(4, 0), kernel)
    nodes = [
        helper.make_node("Conv", ["tiles", "w"], ["deep"], pads=[1] * 4),
        helper.make_node("DepthToSpace", ["deep"], ["upscaled"], blocksize=2, mode="CRD"),
    ]
    sharpening = graph(nodes, {"w": weights}, ("tiles", 4), ("upscaled", 4))
    directory = tmp_path_factory.mktemp("models") / "sharpening-x2"
    tiles = {"cell": 32, "halo": 2, "seam": 1}
    write_upscaler(directory, {"dear.onnx": sharpening}, tiles=tiles)
    return Engine.open(directory, "cpu", 1)


@pytest.fixture
def run(doubling: Engine) -> Callable[..., dict[str, Any]]:
    """run(source, target, **settings): `upscale_video` with the doubling engine."""
    from mmsr_core.video import Settings, upscale_video

    def upscale(source: Path, target: Path, notes: list[str] | None = None, **settings: Any):
        notice = (lambda line: None) if notes is None else notes.append
        return upscale_video(doubling, source, target, Settings(**settings), notice=notice)

    return upscale
