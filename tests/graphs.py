"""Small ONNX graphs and the bundles made of them, for tests that run an engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmsr_core.runtime.bundle import Bundle, Manifest, digest, write_bundle


def graph(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, np.ndarray],
    given: tuple[str, int],
    *answers: tuple[str, int],
) -> bytes:
    """A serialised graph whose input and outputs are (name, rank), float32, all axes free."""
    given_info, *answer_infos = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
        for name, rank in (given, *answers)
    )
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    body = helper.make_graph(nodes, "test", [given_info], answer_infos, tensors)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def network(seed: int = 0, scale: int = 2, channels: int = 6) -> bytes:
    """Two 3×3 convolutions and a pixel shuffle: an expert of receptive radius 2."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, 0.3, (channels, 3, 3, 3)).astype(np.float32),
        "b1": rng.normal(0, 0.3, channels).astype(np.float32),
        "w2": rng.normal(0, 0.2, (3 * scale**2, channels, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["tiles", "w1", "b1"], ["linear"], pads=[1] * 4),
        helper.make_node("Relu", ["linear"], ["hidden"]),
        helper.make_node("Conv", ["hidden", "w2"], ["deep"], pads=[1] * 4),
        helper.make_node("DepthToSpace", ["deep"], ["upscaled"], blocksize=scale, mode="CRD"),
    ]
    return graph(nodes, weights, ("tiles", 4), ("upscaled", 4))


def nearest(scale: int = 2, gain: float = 1.0) -> bytes:
    """Every pixel repeated scale×scale times, times `gain`: an expert of radius 0."""
    repeated = np.repeat(np.eye(3, dtype=bool), scale**2, axis=0)
    kernel = np.where(repeated, np.float32(gain), np.float32(0))
    nodes = [
        helper.make_node("Conv", ["tiles", "w"], ["deep"]),
        helper.make_node("DepthToSpace", ["deep"], ["upscaled"], blocksize=scale, mode="CRD"),
    ]
    return graph(nodes, {"w": kernel[:, :, None, None]}, ("tiles", 4), ("upscaled", 4))


def router(slopes: Sequence[float], offsets: Sequence[float], output: str = "errors") -> bytes:
    """One answer per route: slope · (mean of the cell) + offset."""
    weights = {
        "slopes": np.array([slopes], np.float32),
        "offsets": np.array(offsets, np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["tiles"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["features"]),
        helper.make_node("MatMul", ["features", "slopes"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offsets"], [output]),
    ]
    weights["one"] = np.array([1], np.int64)
    return graph(nodes, weights, ("tiles", 4), ("features", 2), (output, 2))


def mean_fuser() -> bytes:
    """The mean of the candidates."""
    nodes = [helper.make_node("ReduceMean", ["candidates"], ["fused"], axes=[1], keepdims=0)]
    return graph(nodes, {}, ("candidates", 5), ("fused", 4))


def write_upscaler(directory: Path, graphs: Mapping[str, bytes] = {}, **changes: Any) -> Bundle:
    """A ×2 bundle whose router sends dark cells to `cheap`, a nearest neighbour, others to `dear`.

    `graphs` replaces or adds files, `changes` replaces facts of the manifest.
    """
    files = {
        "router.onnx": router([0.1, 0.0], [0.0, 0.001]),
        "cheap.onnx": nearest(),
        "dear.onnx": network(),
        **graphs,
    }
    facts = {
        "name": "tiny-x2",
        "version": "1.0.0",
        "scale": 2,
        "classes": ["SIMPLE", "COMPLEX"],
        "routes": {"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["dear"]}},
        "experts": [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)],
        "router": {"graph": "router.onnx", "output": "errors", "features": ["mean"]},
        "tiles": {"cell": 8, "halo": 2, "seam": 1},
        "effort": {"default": 0.5, "prices": [[0.0, 0.5], [1.0, 0.0]]},
        "files": digest(files),
        "made": {"by": "a test"},
    }
    return write_bundle(directory, Manifest.model_validate(facts | changes), files)


def expert(name: str, cost: float, macs: float, radius: int) -> dict[str, Any]:
    """An expert's entry in the manifest."""
    facts = {"name": name, "backbone": "test", "depth": 1, "graph": f"{name}.onnx"}
    return {**facts, "macs": macs, "cost": cost, "radius": radius}
