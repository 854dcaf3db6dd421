"""An ONNX graph written as arithmetic: a wire is a tensor to come, an operator adds a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

Value = int | float | npt.NDArray[Any]


@dataclass
class Circuit:
    """The nodes and the constants of a graph under construction."""

    nodes: list[NodeProto] = field(default_factory=list)
    tensors: dict[str, TensorProto] = field(default_factory=dict)

    def constant(self, value: npt.NDArray[Any]) -> Wire:
        """A constant; equal ones are stored once."""
        key = f"{value.dtype}{list(value.shape)}{value.tobytes().hex()}"
        name = f"constant/{key}" if value.size <= 4 else f"constant/{len(self.tensors)}"
        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(value, name)
        return Wire(self, name, value.dtype.name)

    def add(
        self,
        kind: str,
        inputs: Sequence[Wire],
        dtype: str,
        attributes: Mapping[str, int | Sequence[int]] = {},
    ) -> Wire:
        """A node of the standard operator `kind`, with one output of `dtype`."""
        name = f"wire/{len(self.nodes)}"
        names = [wire.name for wire in inputs]
        node = helper.make_node(kind, names, [name], name)
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        self.nodes.append(node)
        return Wire(self, name, dtype)

    def vector(self, *parts: Wire | int) -> Wire:
        """Integers in a row: a shape, or pads. Every wire is an int64 of shape (1,)."""
        wires = [
            part if isinstance(part, Wire) else self.constant(np.array([part], np.int64))
            for part in parts
        ]
        return self.add("Concat", wires, "int64", {"axis": 0})

    def count(self, length: Wire, dtype: str = "int64") -> Wire:
        """0, 1, … length − 1; `length` is an int64 of shape (1,)."""
        zero, one = (self.constant(np.array(value, np.int64)) for value in (0, 1))
        axis = self.constant(np.array([0], np.int64))
        scalar = self.add("Squeeze", [length, axis], "int64")
        return self.add("Range", [zero, scalar, one], "int64").cast(dtype)

    def join(self, wires: Sequence[Wire], axis: int = 0) -> Wire:
        """Concatenated along an axis."""
        return self.add("Concat", wires, wires[0].dtype, {"axis": axis})


@dataclass(frozen=True)
class Wire:
    """A tensor of a circuit. Arithmetic broadcasts; a number takes the wire's own type."""

    circuit: Circuit
    name: str
    dtype: str
    """numpy's name of the element type."""

    def __add__(self, other: Wire | Value) -> Wire:
        return self._pair("Add", other)

    def __sub__(self, other: Wire | Value) -> Wire:
        return self._pair("Sub", other)

    def __mul__(self, other: Wire | Value) -> Wire:
        return self._pair("Mul", other)

    def __truediv__(self, other: Wire | Value) -> Wire:
        return self._pair("Div", other)

    def __floordiv__(self, other: Wire | Value) -> Wire:
        """Of integers that are not negative: ONNX truncates."""
        return self._pair("Div", other)

    def __and__(self, other: Wire) -> Wire:
        return self._pair("And", other)

    def __or__(self, other: Wire | Value) -> Wire:
        return self._pair("Or", other)

    def __invert__(self) -> Wire:
        return self.circuit.add("Not", [self], "bool")

    def __gt__(self, other: Wire | Value) -> Wire:
        return self._pair("Greater", other, "bool")

    def __ge__(self, other: Wire | Value) -> Wire:
        return self._pair("GreaterOrEqual", other, "bool")

    def equals(self, other: Wire | Value) -> Wire:
        """Where both are the same; a method, because `==` compares wires, not their values."""
        return self._pair("Equal", other, "bool")

    def at_least(self, other: Wire | Value) -> Wire:
        """The larger of the two."""
        return self._pair("Max", other)

    def at_most(self, other: Wire | Value) -> Wire:
        """The smaller of the two."""
        return self._pair("Min", other)

    def where(self, yes: Wire, no: Wire | Value) -> Wire:
        """`yes` where this, a bool, is true."""
        return self.circuit.add("Where", [self, yes, yes._like(no)], yes.dtype)

    def cast(self, dtype: str) -> Wire:
        """As another type; nothing is added when it is that already."""
        if dtype == self.dtype:
            return self
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.circuit.add("Cast", [self], dtype, {"to": int(to)})

    def size(self, axis: int) -> Wire:
        """The length of an axis: int64, shape (1,)."""
        ends = {"start": axis, "end": axis + 1}
        return self.circuit.add("Shape", [self], "int64", ends)

    def reshape(self, *shape: Wire | int) -> Wire:
        """In another shape; −1 is what is left."""
        target = self.circuit.vector(*shape)
        return self.circuit.add("Reshape", [self, target], self.dtype)

    def transpose(self, *order: int) -> Wire:
        """With the axes in another order."""
        return self.circuit.add("Transpose", [self], self.dtype, {"perm": order})

    def take(self, places: Wire, axis: int) -> Wire:
        """The entries at `places` along an axis."""
        return self.circuit.add("Gather", [self, places], self.dtype, {"axis": axis})

    def put(self, places: Wire, values: Wire) -> Wire:
        """A vector with `values` at `places`, each named once."""
        return self.circuit.add("ScatterElements", [self, places, values], self.dtype)

    def slice(self, axis: int, start: Wire | int, stop: Wire | int) -> Wire:
        """From `start` up to `stop` along an axis."""
        vector = self.circuit.vector
        limits = [vector(start), vector(stop), vector(axis)]
        return self.circuit.add("Slice", [self, *limits], self.dtype)

    def padded(self, *after: Wire | int) -> Wire:
        """With so many zeros behind each axis."""
        pads = self.circuit.vector(*[0] * len(after), *after)
        return self.circuit.add("Pad", [self, pads, self.circuit.constant(self._zero)], self.dtype)

    def sum(self, *axes: int) -> Wire:
        """Added up over axes, which go."""
        return self._reduced("ReduceSum", axes)

    def least(self, *axes: int) -> Wire:
        """The minimum over axes, which go."""
        return self._reduced("ReduceMin", axes)

    def cumulated(self, axis: int) -> Wire:
        """Running sums."""
        place = self.circuit.constant(np.array(axis, np.int64))
        return self.circuit.add("CumSum", [self, place], self.dtype)

    def first_least(self, axis: int) -> Wire:
        """The first place of the minimum along an axis, which goes."""
        return self.circuit.add("ArgMin", [self], "int64", {"axis": axis, "keepdims": 0})

    def first_true(self, axis: int) -> Wire:
        """The first place along an axis, which goes, where this, a bool, is true."""
        kind = {"axis": axis, "keepdims": 0}
        return self.circuit.add("ArgMax", [self.cast("int32")], "int64", kind)

    def places(self) -> Wire:
        """Where this vector of bools is true: int64, shape (k,)."""
        return self.circuit.add("NonZero", [self], "int64").reshape(-1)

    def full(self, length: Wire) -> Wire:
        """This scalar so many times: shape (length,)."""
        return self.circuit.add("Expand", [self, length], self.dtype)

    @property
    def _zero(self) -> npt.NDArray[Any]:
        return np.zeros((), self.dtype)

    def _like(self, other: Wire | Value) -> Wire:
        if isinstance(other, Wire):
            return other
        return self.circuit.constant(np.asarray(other, self.dtype))

    def _pair(self, kind: str, other: Wire | Value, dtype: str | None = None) -> Wire:
        return self.circuit.add(kind, [self, self._like(other)], dtype or self.dtype)

    def _reduced(self, kind: str, axes: Sequence[int]) -> Wire:
        over = self.circuit.constant(np.array(axes, np.int64))
        return self.circuit.add(kind, [self, over], self.dtype, {"keepdims": 0})
