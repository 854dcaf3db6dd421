"""What a graph computes, counted on the sizes that its tensors really have."""

import math

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, helper

from mmsr_onnx.given.running import open_session

SIDE = 64


def count_macs(graph: bytes, what: str) -> float:
    """Multiply-accumulates of convolutions and matrix products, per pixel of a 64×64 input."""
    model = onnx.load_from_string(graph)
    counted = [node for node in model.graph.node if node.op_type in _COUNTERS]
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer}
    names = dict.fromkeys(name for node in counted for name in (*node.input[:2], node.output[0]))
    wires = [name for name in names if name not in weights]
    shapes = weights | _shapes(model, wires, what)
    total = sum(_COUNTERS[node.op_type](node, shapes) for node in counted)
    return total / SIDE**2


def _shapes(model: ModelProto, wires: list[str], what: str) -> dict[str, tuple[int, ...]]:
    """The shapes of inner tensors, told by the graph itself: a Shape of each as an output."""
    asking = ModelProto()
    asking.CopyFrom(model)
    for place, name in enumerate(wires):
        asking.graph.node.append(helper.make_node("Shape", [name], [f"shape of {place}"]))
        answer = helper.make_tensor_value_info(f"shape of {place}", onnx.TensorProto.INT64, [None])
        asking.graph.output.append(answer)
    session = open_session(asking.SerializeToString(), what)
    image: npt.NDArray[np.float32] = np.full((1, 3, SIDE, SIDE), 0.5, np.float32)
    found = session.run([f"shape of {place}" for place in range(len(wires))], {"tiles": image})
    return {name: tuple(map(int, shape)) for name, shape in zip(wires, found, strict=True)}


Shapes = dict[str, tuple[int, ...]]


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _transposed(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _product(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    turned = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if turned else -1]


_COUNTERS = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "Gemm": _gemm,
}
