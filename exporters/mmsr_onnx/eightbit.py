"""A network's 8-bit form: its graph with QuantizeLinear and DequantizeLinear pairs (QDQ).

ONNX Runtime turns a convolution between such pairs into an integer one. Activations are uint8,
with one scale a tensor; weights are int8, with one scale an output channel (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018, section 2.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from mmsr_core.errors import ExportError
from mmsr_onnx.graphs import expert_graph, rewritten, to_bytes

Floats = npt.NDArray[np.float32]

CHANNELS = 8
"""Input channels a convolution needs: fewer (an image's three) gain no speed and cost quality."""
OUTSIDE = 1e-4
"""Share of a tile's values that each end of an activation's range may cut off: a few far values
would widen the range, and with it the steps of all others."""
WEIGHT_LIMIT = 64
"""Weights have 7 bits: x86 without VNNI adds two products in 16 bits, and 8 bits would overflow."""
PIECE = 128
"""Side of what is cut from a tile for one run, in pixels: every activation of it is in memory."""


def quantize(graph: bytes, tiles: Sequence[Floats]) -> bytes:
    """The 8-bit form of a float32 `graph`, its activations' ranges measured on `tiles`.

    Each tile is (1,3,h,w) in [0,1], of any height and width. The same graph and tiles give the
    same bytes. Raises ExportError when the graph has no convolution that gains by it.
    """
    model = onnx.load_from_string(graph)
    convolutions = quantizable(model)
    if not convolutions:
        raise ExportError(f"no convolution has {CHANNELS} input channels or more")
    ranges = _ranges(model, _activations(model, convolutions), tiles)
    steps = {name: Steps.of(low, high) for name, (low, high) in ranges.items()}
    return to_bytes(_with_pairs(model, convolutions, steps))


def quantize_module(module: nn.Module, tiles: Sequence[Floats]) -> bytes:
    """The 8-bit form of a torch upscaler, (n,3,h,w) → (n,3,s·h,s·w). See `quantize`."""
    example = torch.from_numpy(np.concatenate([tiles[0], tiles[0]]))
    return quantize(expert_graph(module, example, "8-bit expert"), tiles)


def quantizable(model: ModelProto) -> list[NodeProto]:
    """The convolutions that 8 bits speed up: fixed weights, `CHANNELS` input channels or more."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type == "Conv"
        and all(name in shapes for name in node.input[1:] if name)
        and shapes[node.input[1]][1] >= CHANNELS
    ]


@dataclass(frozen=True)
class Steps:
    """The uint8 numbers of an activation: `scale` · (number − `zero`)."""

    scale: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> Self:
        """Steps for a range; it has to hold 0 exactly, which a convolution's padding is made of."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / 255)) or 1.0
        return cls(scale, round(-low / scale))


def _activations(model: ModelProto, convolutions: Sequence[NodeProto]) -> list[str]:
    """Inputs and outputs of the convolutions; a Relu that follows one becomes part of it."""
    answers = {value.name for value in model.graph.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {node.input[0]: None for node in convolutions}  # a dict keeps its order
    for node in convolutions:
        (output,) = node.output
        match readers.get(output, []):
            case [follower] if follower.op_type == "Relu" and output not in answers:
                (output,) = follower.output
        if output not in answers:
            found[output] = None
    return list(found)


def _ranges(
    model: ModelProto, names: Sequence[str], tiles: Sequence[Floats]
) -> dict[str, tuple[float, float]]:
    """What each activation spans on the tiles, without the `OUTSIDE` that lies farthest out."""
    import onnxruntime

    probe = ModelProto()
    probe.CopyFrom(model)
    given = model.graph.input[0].name
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    graph = probe.SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    lowest, highest = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for piece in pieces(tiles):
        for name, values in zip(names, session.run(list(names), {given: piece}), strict=True):
            rank = int(OUTSIDE * values.size)
            ends = np.partition(values.ravel(), (rank, values.size - 1 - rank))
            lowest[name] = min(lowest[name], float(ends[rank]))
            highest[name] = max(highest[name], float(ends[values.size - 1 - rank]))
    return {name: (lowest[name], highest[name]) for name in names}


def pieces(tiles: Sequence[Floats]) -> Iterator[Floats]:
    """Tiles cut to `PIECE` pixels a side, in pieces of about one size."""
    for tile in tiles:
        for rows in np.array_split(tile, -(-tile.shape[2] // PIECE), axis=2):
            for piece in np.array_split(rows, -(-tile.shape[3] // PIECE), axis=3):
                yield np.ascontiguousarray(piece)


def _with_pairs(
    model: ModelProto, convolutions: Sequence[NodeProto], steps: Mapping[str, Steps]
) -> ModelProto:
    """The model with a pair behind every activation that has steps, and weights of 8 bits."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    chosen = {node.output[0] for node in convolutions}
    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []

    def add_pair(name: str) -> None:
        if name in steps:
            scale, zero = np.float32(steps[name].scale), np.uint8(steps[name].zero)
            names = _constants(name, tensors, scale=np.array(scale), zero=np.array(zero))
            whole, real = f"{name}/whole", _real(name)
            nodes.append(helper.make_node("QuantizeLinear", [name, *names], [whole]))
            nodes.append(helper.make_node("DequantizeLinear", [whole, *names], [real]))

    def add_weights(node: NodeProto) -> None:
        bias = weights[node.input[2]] if len(node.input) > 2 else None
        parts = _whole(weights[node.input[1]], bias, steps[node.input[0]].scale)
        for place, (whole, scale) in enumerate(parts, start=1):
            name = f"{node.output[0]}/{('weight', 'bias')[place - 1]}"
            zero = np.zeros(len(scale), whole.dtype)
            names = _constants(name, tensors, whole=whole, scale=scale, zero=zero)
            nodes.append(helper.make_node("DequantizeLinear", names, [_real(name)], axis=0))
            node.input[place] = _real(name)

    for value in model.graph.input:
        add_pair(value.name)
    for node in model.graph.node:
        if node.output[0] in chosen:
            add_weights(node)
        node.input[:] = [_real(name) if name in steps else name for name in node.input]
        nodes.append(node)
        for name in node.output:
            add_pair(name)
    return rewritten(model, nodes, tensors)


def _whole(
    weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None, activation: float
) -> list[tuple[npt.NDArray[Any], Floats]]:
    """int8 weights and int32 biases, each with a scale for every output channel."""
    scale = np.abs(weight).reshape(len(weight), -1).max(1).astype(np.float64) / WEIGHT_LIMIT
    if bias is not None:  # where the weights are nearly 0, the bias still has to fit its 32 bits
        scale = np.maximum(scale, np.abs(bias) / activation / 2**30)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    whole = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    parts = [(whole.astype(np.int8), scale)]
    if bias is not None:
        steps = scale * np.float32(activation)
        parts.append((np.rint(bias / steps).astype(np.int32), steps))
    return parts


def _constants(name: str, tensors: list[TensorProto], **parts: npt.NDArray[Any]) -> list[str]:
    names = [f"{name}/{part}" for part in parts]
    values = zip(parts.values(), names, strict=True)
    tensors.extend(numpy_helper.from_array(array, full) for array, full in values)
    return names


def _real(name: str) -> str:
    return f"{name}/real"
