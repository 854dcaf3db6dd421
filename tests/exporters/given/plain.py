"""Plain ONNX upscalers as one meets them: of any range, layout, type and size."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KERNEL = np.float32([[0.1, 0, 0.1], [0, 0.6, 0], [0.1, 0, 0.1]])


def upscaler(
    path,
    *,
    scale=2,
    white=1.0,
    black=0.0,
    channels=3,
    layers=1,
    last=False,
    kind=TensorProto.FLOAT,
    sizes=(None, None, None),
    pools=False,
):
    """Write a ×`scale` network: `layers` 3×3 convolutions and a pixel shuffle; its path.

    It takes and gives black and white as said, and mixes in a picture's mean where it `pools`.
    """
    middle = np.float32((black + white) / 2)  # what a clipping network clips around
    kernels = np.zeros((channels, channels, 3, 3), np.float32)
    kernels[range(channels), range(channels)] = KERNEL
    repeat = np.repeat(np.eye(channels, dtype=np.float32), scale**2, axis=0)[:, :, None, None]
    weights = {"kernels": kernels, "repeat": repeat, "black": np.float32(black)}
    weights |= {"white": np.float32(white), "middle": middle, "part": np.float32(0.2)}
    weights["bend"] = np.float32(-0.15 / (white - black))
    nodes, wire = [], "picture"

    def add(op, *more, **attributes):
        nonlocal wire
        made = f"wire{len(nodes)}"
        nodes.append(helper.make_node(op, [wire, *more], [made], **attributes))
        wire = made

    if kind != TensorProto.FLOAT:
        add("Cast", to=TensorProto.FLOAT)
    if last:
        add("Transpose", perm=(0, 3, 1, 2))
    add("Sub", "middle")
    for _ in range(layers):
        add("Conv", "kernels", pads=[1] * 4)
    add("Add", "middle")
    if pools:
        before = wire
        add("ReduceMean", axes=[2, 3], keepdims=1)
        add("Mul", "part")
        add("Add", before)
    add("Clip", "black", "white")
    before = wire  # a curve that bends in the middle of its range, as no other range would have it
    add("Sub", "black")
    dark, wire = wire, before
    add("Sub", "white")
    add("Mul", dark)
    add("Mul", "bend")
    add("Add", before)
    add("Conv", "repeat")
    add("DepthToSpace", blocksize=scale, mode="CRD")
    if last:
        add("Transpose", perm=(0, 2, 3, 1))
    if kind != TensorProto.FLOAT:
        add("Cast", to=kind)
    n, h, w = sizes
    shape = [n, h, w, channels] if last else [n, channels, h, w]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("picture", kind, shape)],
        [helper.make_tensor_value_info(wire, kind, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path
