"""A plain upscaler's graph between the borders of an expert: float32 RGB in [0,1], (n,3,h,w)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mmsr_onnx.given.read import Plain
from mmsr_onnx.graphs import IMAGE, UPSCALED, cleaned, to_bytes

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Transpositions that bring the channels to their place, and to the end."""


@dataclass(frozen=True)
class Range:
    """What a graph writes for black and for white."""

    black: float
    white: float

    def __str__(self) -> str:
        return f"[{self.black:g},{self.white:g}]"


RANGES = (Range(0, 1), Range(0, 255), Range(-1, 1))


@dataclass
class _Line:
    """Nodes one after the other, each taking what the one before gave."""

    wire: str
    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def add(self, op: str, *constants: np.ndarray, **attributes: object) -> None:
        names = [self.weight(value) for value in constants]
        wire = f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.wire, *names], [wire], **attributes))
        self.wire = wire

    def weight(self, value: np.ndarray) -> str:
        name = f"{self.prefix}w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def reshape(self, leading: Sequence[int], source: str) -> None:
        """To the leading sizes, and the last two of `source`'s."""
        shape, sides, whole = (f"{self.prefix}{what}" for what in ("shape", "sides", "whole"))
        start = self.weight(np.array([2], np.int64))
        end = self.weight(np.array([4], np.int64))
        front = self.weight(np.array(leading, np.int64))
        self.nodes += [
            helper.make_node("Shape", [source], [shape]),
            helper.make_node("Slice", [shape, start, end], [sides]),
            helper.make_node("Concat", [front, sides], [whole], axis=0),
        ]
        wire = f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node("Reshape", [self.wire, whole], [wire]))
        self.wire = wire


def expert_of(plain: Plain, takes: Range, gives: Range | None) -> bytes:
    """The graph of an expert around a plain one that takes and gives such ranges.

    `gives` None leaves the answer's range as it is, to be looked at.
    """
    before = _before(plain, takes)
    given, answer = plain.model.graph.input[0].name, plain.model.graph.output[0].name
    after = _after(plain, answer, gives)
    model = ModelProto()
    model.CopyFrom(plain.model)
    graph = model.graph
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*before.nodes, *inner, *after.nodes])
    graph.initializer.extend([*before.weights, *after.weights])
    _replace(graph.node, given, before.wire)
    for node in graph.node:
        node.output[:] = ["upscaled" if name == after.wire else name for name in node.output]
        node.input[:] = ["upscaled" if name == after.wire else name for name in node.input]
    del graph.input[:]
    del graph.output[:]
    names = (("tiles", IMAGE), ("upscaled", UPSCALED))
    first, last = (
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [3 if a is None else a for a in axes]
        )
        for name, axes in names
    )
    graph.input.append(first)
    graph.output.append(last)
    return to_bytes(cleaned(model))


def _before(plain: Plain, takes: Range) -> _Line:
    line = _Line("tiles", "before")
    if plain.channels == 1:
        line.reshape((-1, 1), "tiles")
    if takes.white - takes.black != 1:
        line.add("Mul", np.float32(takes.white - takes.black))
    if takes.black:
        line.add("Add", np.float32(takes.black))
    if plain.last:
        line.add("Transpose", perm=LAST)
    if plain.type == TensorProto.UINT8:
        line.add("Round")
    if plain.type != TensorProto.FLOAT:
        line.add("Cast", to=plain.type)
    return line


def _after(plain: Plain, answer: str, gives: Range | None) -> _Line:
    line = _Line(answer, "after")
    if plain.answers != TensorProto.FLOAT:
        line.add("Cast", to=TensorProto.FLOAT)
    if plain.last:
        line.add("Transpose", perm=FIRST)
    if plain.channels == 1:
        line.reshape((-1, 3), line.wire)
    if gives is None:
        line.add("Identity")
        return line
    if gives.black:
        line.add("Sub", np.float32(gives.black))
    if gives.white - gives.black != 1:
        line.add("Mul", np.float32(1 / (gives.white - gives.black)))
    line.add("Clip", np.float32(0), np.float32(1))
    return line


def _replace(nodes: Sequence[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
