"""Small bundles whose one-file graphs can be compared with what their experts answer whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from graphs import mean_fuser, router, write_upscaler
from onnx import TensorProto, helper

from mmsr_core.runtime.bundle import Bundle

CELL = 8
"""`write_upscaler`'s; its halo, 2, is the receptive radius of its deepest expert."""


def brightening(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Image (3,h,w), dark on the left and bright on the right, with noise."""
    ramp = np.linspace(0, 0.8, width)[None, None] ** 2
    noise = np.random.default_rng(seed).uniform(0, 0.2, (3, height, width))
    return (ramp + noise).astype(np.float32)


# The cheap expert errs on bright cells, and less than the dear one on dark ones.
ROUTER = router([0.1, 0.0], [-0.007, 0.02])


def plain(directory: Path, graphs: Mapping[str, bytes] = {}) -> Bundle:
    """Dark cells go to the cheap expert; `graphs` replaces files."""
    return write_upscaler(directory, {"router.onnx": ROUTER, **graphs})


def fused(directory: Path) -> Bundle:
    """Dark cells are answered for by both experts, and a mean."""
    return write_upscaler(
        directory,
        {"router.onnx": ROUTER, "fuser.onnx": mean_fuser()},
        routes={
            "SIMPLE": {"experts": ["dear", "cheap"], "fuser": "mean"},
            "COMPLEX": {"experts": ["dear"]},
        },
        fusers={"mean": {"graph": "fuser.onnx", "radius": 0}},
    )


def probable(directory: Path) -> Bundle:
    """The brighter a cell, the less probable the first class."""
    return write_upscaler(
        directory,
        {"router.onnx": router([-1.0, 1.0], [1.0, 0.0], "probs")},
        router={"graph": "router.onnx", "output": "probs", "features": ["mean"]},
        effort={"default": 0.5},
    )


def grown(directory: Path) -> Bundle:
    """A regression tree tells the errors: cells of a mean above ¼ need the dear expert."""
    return write_upscaler(directory, {"router.onnx": _tree()})


def _tree() -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["tiles", "axes"], ["features"], keepdims=0),
        helper.make_node("Unsqueeze", ["features", "one"], ["column"]),
        helper.make_node(
            "TreeEnsembleRegressor",
            ["column"],
            ["errors"],
            domain="ai.onnx.ml",
            n_targets=2,
            nodes_treeids=[0, 0, 0],
            nodes_nodeids=[0, 1, 2],
            nodes_featureids=[0, 0, 0],
            nodes_values=[0.25, 0.0, 0.0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0],
            target_treeids=[0, 0, 0, 0],
            target_nodeids=[1, 1, 2, 2],
            target_ids=[0, 1, 0, 1],
            target_weights=[0.01, 0.02, 0.05, 0.02],
        ),
    ]
    body = helper.make_graph(
        nodes,
        "tree",
        [helper.make_tensor_value_info("tiles", TensorProto.FLOAT, ["n", 3, CELL, CELL])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("errors", TensorProto.FLOAT, ["n", 2]),
        ],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(body, opset_imports=domains, ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
