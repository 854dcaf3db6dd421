"""Does a graph answer what the Python it was made from answers?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mmsr_core.errors import ExportError
from mmsr_core.plugin.stages import apply
from mmsr_core.runtime.session import Device, Session

Floats = npt.NDArray[np.float32]

NETWORK = 1e-4
"""What an image, in [0,1], may differ by."""
FORM = 0.05
"""What an image may differ by in a lower precision, root mean square on test patterns that are
harsher than photographs: more is not noise, but another network."""
ROUTER = 1e-3
"""What features, probabilities and (relative to themselves) errors may differ by."""


def network_inputs() -> list[Floats]:
    """What a network is compared on."""
    return [textured_tiles(2, 24, 32, seed=1), textured_tiles(3, 37, 21, seed=2)]


def check_network(module: nn.Module, graph: bytes, inputs: Sequence[Floats], name: str) -> float:
    """Largest difference between `module` and its graph; ExportError above `NETWORK`.

    BundleError when the graph's answer isn't finite, or has another shape.
    """
    session = Session(graph, _CPU, name)
    (output,) = session.outputs
    found = []
    for array in inputs:
        with torch.no_grad():
            expected = module(torch.from_numpy(array)).numpy()
        found.append(_difference(session.run(array, output, expected.shape), expected, 1.0))
    return _accepted(max(found), NETWORK, name)


def check_form(exact: bytes, graph: bytes, scale: int, name: str) -> float:
    """Largest difference between a network and its form in a lower precision.

    ExportError where its root mean square is above `FORM`, BundleError when an answer isn't
    finite, or has another shape.
    """
    sessions = [Session(network, _CPU, name) for network in (exact, graph)]
    largest = 0.0
    for tiles in network_inputs():
        n, channels, height, width = tiles.shape
        shape = n, channels, height * scale, width * scale
        expected, got = (session.run(tiles, session.outputs[0], shape) for session in sessions)
        noise = float(np.sqrt(np.mean((got - expected) ** 2)))
        if not noise <= FORM:
            raise ExportError(f"{name}: its answers differ from those in fp32 by {noise:.2g}")
        largest = max(largest, _difference(got, expected, 1.0))
    return largest


def check_router(
    extractor: nn.Module,
    stages: Sequence[Any],
    output: str,
    graph: bytes,
    inputs: Sequence[Floats],
    name: str,
) -> float:
    """Largest difference between the router and its graph; ExportError above `ROUTER`.

    The stages are compared on the graph's own features: where a feature lies on a tree's
    threshold, its last bit may rightly take another branch.
    """
    session = Session(graph, _CPU, name)
    found = []
    for tiles in inputs:
        with torch.no_grad():
            expected = extractor(torch.from_numpy(tiles)).numpy()
        features = session.run(tiles, "features", expected.shape)
        found.append(_difference(features, expected, np.maximum(1, np.abs(expected))))
        answer = apply(stages, features)
        unit = np.maximum(np.abs(answer), 1e-12) if output == "errors" else 1.0
        found.append(_difference(session.run(tiles, output, answer.shape), answer, unit))
    return _accepted(max(found), ROUTER, name)


def textured_tiles(count: int, height: int, width: int, seed: int) -> Floats:
    """Tiles (count,3,height,width) in [0,1], from flat through waves and edges to noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    tiles = np.empty((count, 3, height, width))
    for index in range(count):
        strength = index / max(1, count - 1)
        fy, fx, phase = rng.uniform(-0.8, 0.8, 3)
        wave = np.sin(fy * y + fx * x + 4 * phase)
        shape = np.sign(wave) if index % 3 == 2 else wave
        colour = rng.uniform(0.2, 0.8, (3, 1, 1))
        grain = rng.normal(size=(3, height, width))
        tiles[index] = colour + strength * (0.2 * shape + 0.1 * grain)
    return tiles.clip(0, 1).astype(np.float32)


_CPU = Device("cpu", "parity is checked there")


def _difference(got: npt.NDArray[Any], expected: npt.NDArray[Any], unit: Any) -> float:
    return float(np.max(np.abs(got - expected) / unit, initial=0.0))


def _accepted(difference: float, tolerance: float, name: str) -> float:
    if not difference <= tolerance:  # not a number is no parity either
        raise ExportError(
            f"{name}: its graph differs from the trained model by {difference:.2g}, more than "
            f"{tolerance:g}; nothing was written. Look for code that ONNX can't express: "
            "branches on values, in-place writes, randomness"
        )
    return difference
