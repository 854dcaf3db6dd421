"""A network's fp16 form: half-precision floats inside, float32 where the image itself passes."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mmsr_core.errors import ExportError
from mmsr_onnx.eightbit import CHANNELS, quantizable
from mmsr_onnx.graphs import rewritten, to_bytes

HALVED = (
    *("Add", "BatchNormalization", "Clip", "Concat", "Conv", "DepthToSpace", "Gelu", "LeakyRelu"),
    *("Mul", "PRelu", "Relu", "Sigmoid", "Sub", "Tanh"),
)
"""Operators that answer in their inputs' precision, and lose little by it."""


def halve(graph: bytes) -> bytes:
    """The fp16 form of a float32 `graph`.

    What lies between the first and the last convolution of many channels computes in fp16, the
    rest in float32: the branch that carries the image, whose values need more than fp16's 11
    bits, and what adds the network's answer to it. Raises ExportError when there is no such
    convolution.
    """
    model = onnx.load_from_string(graph)
    inner = _inner(model)
    if not inner:
        raise ExportError(f"no convolution has {CHANNELS} input channels or more")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {node.output[0] for node in inner}
    outer = [node for node in model.graph.node if node.output[0] not in made]
    wanted = {name for node in outer for name in node.input}
    wanted |= {value.name for value in model.graph.output}
    nodes: list[NodeProto] = []
    added: dict[str, TensorProto] = {}
    halved: set[str] = set()
    for node in model.graph.node:
        if node.output[0] not in made:
            nodes.append(node)
            continue
        for name in filter(None, node.input):
            if name in weights and name not in added:
                added[name] = _half_weight(weights[name])
            elif name not in weights and name not in halved | made:
                nodes.append(_cast(name, _half(name), TensorProto.FLOAT16))
                halved.add(name)
        node.input[:] = [_half(name) if name else "" for name in node.input]
        (output,) = node.output
        node.output[0] = _half(output)
        nodes.append(node)
        if output in wanted:
            nodes.append(_cast(_half(output), output, TensorProto.FLOAT))
    return to_bytes(rewritten(model, nodes, added.values()))


def _inner(model: ModelProto) -> list[NodeProto]:
    """The nodes to halve: behind a convolution of many channels, and before one, or one."""
    floats = _floats(model)
    ends = {node.output[0] for node in quantizable(model)}
    behind = _reached(model.graph.node, ends)
    before = _reaching(model.graph.node, ends)
    return [
        node
        for node in model.graph.node
        if node.op_type in HALVED
        and set(filter(None, (*node.input, *node.output))) <= floats
        and node.output[0] in behind & before
        and len(node.output) == 1
    ]


def _floats(model: ModelProto) -> set[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    found = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {t.name for t in inferred.initializer if t.data_type == TensorProto.FLOAT}


def _reached(nodes: Iterable[NodeProto], ends: set[str]) -> set[str]:
    found = set(ends)
    for node in nodes:  # a graph's nodes are in an order of computation
        if found & set(node.input):
            found |= set(node.output)
    return found


def _reaching(nodes: Sequence[NodeProto], ends: set[str]) -> set[str]:
    found = set(ends)
    for node in reversed(nodes):
        if found & set(node.output):
            found |= set(node.input)
    return found


def _half(name: str) -> str:
    return f"{name}/half"


def _half_weight(tensor: TensorProto) -> TensorProto:
    with np.errstate(over="ignore"):  # an infinite weight shows in the answer, and is refused
        values = numpy_helper.to_array(tensor).astype(np.float16)
    return numpy_helper.from_array(values, _half(tensor.name))


def _cast(name: str, answer: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [name], [answer], to=to)
