"""A small network with a branch that carries the image, for tests of lower precision."""

import numpy as np
import onnx
from graphs import graph
from onnx import helper, numpy_helper

from mmsr_core.runtime.session import Device, Session

CPU = Device("cpu", "asked for")
SCALE = 2


def network(channels: int = 8, seed: int = 0, **replaced: np.ndarray) -> bytes:
    """Head, one residual block and tail, added to a nearest neighbour of the image: ×2.

    `replaced` gives some of the weights: head, head_bias, first, first_bias, second, tail.
    """
    rng = np.random.default_rng(seed)
    narrow = 0.5 / np.sqrt(9 * channels)
    weights = {
        "linear": np.repeat(np.eye(3), SCALE**2, axis=0)[:, :, None, None],
        "head": rng.normal(0, 0.2, (channels, 3, 3, 3)),
        "head_bias": rng.normal(0, 0.1, channels),
        "first": rng.normal(0, 2 * narrow, (channels, channels, 3, 3)),
        "first_bias": rng.normal(0, 0.1, channels),
        "second": rng.normal(0, narrow, (channels, channels, 3, 3)),
        "tail": rng.normal(0, narrow / 4, (3 * SCALE**2, channels, 3, 3)),
    }
    floats = {name: np.float32(value) for name, value in (weights | replaced).items()}
    nodes = [
        helper.make_node("Conv", ["tiles", "linear"], ["image"]),
        helper.make_node("Conv", ["tiles", "head", "head_bias"], ["headed"], pads=[1] * 4),
        helper.make_node("Relu", ["headed"], ["trunk"]),
        helper.make_node("Conv", ["trunk", "first", "first_bias"], ["wide"], pads=[1] * 4),
        helper.make_node("Relu", ["wide"], ["hidden"]),
        helper.make_node("Conv", ["hidden", "second"], ["change"], pads=[1] * 4),
        helper.make_node("Add", ["trunk", "change"], ["body"]),
        helper.make_node("Conv", ["body", "tail"], ["residual"], pads=[1] * 4),
        helper.make_node("Add", ["image", "residual"], ["planes"]),
        helper.make_node("DepthToSpace", ["planes"], ["upscaled"], blocksize=SCALE, mode="CRD"),
    ]
    return graph(nodes, floats, ("tiles", 4), ("upscaled", 4))


def answer(network: bytes, tiles: np.ndarray) -> np.ndarray:
    n, channels, height, width = tiles.shape
    shape = n, channels, height * SCALE, width * SCALE
    return Session(network, CPU, "network").run(tiles, "upscaled", shape)


def tensors(network: bytes) -> dict[str, np.ndarray]:
    """A graph's weights by name."""
    initializers = onnx.load_from_string(network).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in initializers}


def photographs(count: int = 3, side: int = 24) -> list[np.ndarray]:
    """LR images (1,3,h,w), smooth with some grain, each of another shape."""
    y, x = np.mgrid[0:side, 0:side]
    found = []
    for index in range(count):
        rng = np.random.default_rng(index)
        wave = 0.5 + 0.4 * np.sin(x * (0.1 + 0.1 * index) + y * 0.2)[: side - index]
        noise = rng.normal(0, 0.02, (1, 3, *wave.shape))
        found.append((wave + noise).clip(0, 1).astype(np.float32))
    return found
