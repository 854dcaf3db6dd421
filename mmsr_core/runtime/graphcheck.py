"""A stranger's graph, looked at before ONNX Runtime parses it.

Refused is what would read other files, run code that isn't ONNX Runtime's own, take time or
memory out of proportion to the file, or answer with no numbers: data outside the graph, operators
of other domains, functions, loops and branches, sparse tensors, tensors that declare more than
they hold, constants that grow, and weights that are NaN or infinite.
"""

import math
import re
from collections import Counter

import numpy as np

from mmsr_core.errors import BundleError, NotFinite, one_line
from mmsr_core.runtime.wire import Malformed, Message, Reader, messages, numbers

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Whose operators a graph may use. Those of com.microsoft change with ONNX Runtime."""
GRAPH_LIMIT = 2**30
"""Bytes of one graph."""
CONSTANTS = 2**26
"""Numbers that a graph may compute from constants alone, or four times those it holds."""

NODES = 10_000
"""Nodes of a graph: ONNX Runtime takes time by their square to open it."""
TREE = 8192
"""Nodes of one tree of a forest: ONNX Runtime goes down it by recursion, and has only its stack."""

KEEPING = frozenset(
    (
        *("Abs", "Cast", "Ceil", "Clip", "DequantizeLinear", "Erf", "Exp", "Flatten", "Floor"),
        *("Identity", "Log", "Neg", "Not", "QuantizeLinear", "Reciprocal", "ReduceMax"),
        *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Round"),
        *("Sigmoid", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Tanh", "Transpose"),
        "Unsqueeze",
    )
)
"""Operators that answer with no more numbers than the largest of their inputs has."""
COMBINING = frozenset(
    (
        *("Add", "And", "Div", "Equal", "Gather", "Greater", "Less", "MatMul", "Max", "Min", "Mul"),
        *("Or", "Pow", "Sub", "Where"),
    )
)
"""Operators that answer with no more numbers than the product of their inputs' counts."""

# A forest's attributes are a million small fields: lists of floats, of integers and of short texts.
_SHORT = b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in (10, 4, *range(33)))
_LISTS = re.compile(
    rb"(?:\x3d....)++|(?:\x40[\x80-\xff]*+.)++|(?:\x4a(?:" + _SHORT + rb"))++", re.DOTALL
)
_IDS = re.compile(rb"\x40[\x80-\xff]*+.", re.DOTALL)
_OVERLONG = re.compile(rb"\x40[\x80-\xff]+\x00")
_FLOATS = {
    1: ("<u4", 0x7F800000),
    10: ("<u2", 0x7C00),
    11: ("<u8", 0x7FF0000000000000),
    16: ("<u2", 0x7F80),
}
"""Types of floating-point tensors → their bits as integers, and the exponent that isn't finite."""


def check_graph(data: bytes, origin: str) -> None:
    """Raise BundleError, which calls the graph `origin`, for what has no place in a bundle.

    It is NotFinite for weights that aren't.
    """
    if len(data) > GRAPH_LIMIT:
        raise BundleError(f"{origin}: a graph of more than {GRAPH_LIMIT >> 20} MiB")
    try:
        _Check(Reader()).model(memoryview(data))
    except Malformed as error:
        raise BundleError(
            f"{origin}: not an ONNX graph, or a damaged one ({one_line(str(error))})"
        ) from None
    except _NotFinite as error:
        raise NotFinite(f"{origin}: {one_line(str(error))}") from None
    except _Refused as error:
        raise BundleError(
            f"{origin}: {one_line(str(error))}; bundles have no place for that"
        ) from None


class _Refused(Exception):
    """What is wrong with a graph that is well-formed."""


class _NotFinite(_Refused):
    """A weight is NaN or infinite."""


class _Check:
    """One walk through one model."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[bytes, int] = {}
        """The most numbers that each constant may have, by its name."""
        self._made: set[bytes] = set()
        """Names that are there for the next node."""

    def model(self, data: memoryview) -> None:
        """ModelProto."""
        model = self._reader.read(data)
        if 20 in model:
            raise _Refused("it brings a way to train itself")
        if 25 in model:
            raise _Refused("it brings functions of its own")
        self._graph(self._reader.read(_only(model, 7, "graph")))

    def _graph(self, graph: Message) -> None:
        if 15 in graph:
            raise _Refused("it has sparse weights")
        for data in messages(graph.get(5, [])):
            tensor = self._reader.read(data)
            name = b"".join(messages(tensor.get(8, [])))
            self._known[name] = self._tensor(tensor, name)
        held = sum(self._known.values())
        given = [self._reader.read(data) for data in messages(graph.get(11, []))]
        self._made = {bytes(name) for value in given for name in messages(value.get(1, []))}
        self._made |= {b"", *self._known}
        computed = 0
        nodes = messages(graph.get(1, []))
        if len(nodes) > NODES:
            raise _Refused(f"it has {len(nodes)} nodes, more than {NODES}")
        for data in nodes:
            computed += self._node(self._reader.read(data))
            if computed > max(CONSTANTS, 4 * held):
                raise _Refused(f"it computes {computed} numbers from constants alone")

    def _node(self, node: Message) -> int:
        """Check a node; the most numbers that it computes from constants alone."""
        op = _text(_only(node, 4, "operator"))
        domain = _text(b"".join(messages(node.get(7, []))))
        if domain not in DOMAINS:
            raise _Refused(f'it uses {op}, an operator of "{domain}"')
        if op == "TreeEnsemble":  # its trees have no numbers to count them by
            raise _Refused(
                "its forest is a TreeEnsemble, not a TreeEnsembleRegressor or Classifier"
            )
        held = sum(self._attribute(data, op) for data in messages(node.get(5, [])))
        inputs = [bytes(name) for name in messages(node.get(1, []))]
        outputs = [bytes(name) for name in messages(node.get(2, []))]
        if early := [name for name in inputs if name not in self._made]:
            raise _Refused(f'its {op} takes "{_text(early[0])}", which is not there yet')
        self._made.update(outputs)
        constants = [self._known[name] for name in inputs if name in self._known]
        if len(constants) < len([name for name in inputs if name]):
            return 0
        most = _most(op, constants, held)
        self._known.update(dict.fromkeys(outputs, most))
        return most

    def _attribute(self, data: memoryview, op: str) -> int:
        """Check an attribute; the most numbers that it holds."""
        attribute = self._reader.read(data, skip=_LISTS)
        if 6 in attribute or 11 in attribute:
            raise _Refused(f"its {op} is a loop or a branch, a graph inside the graph")
        if 22 in attribute or 23 in attribute:
            raise _Refused(f"its {op} has a sparse tensor")
        if len(attribute.get(5, [])) > 1:
            raise Malformed("an attribute of several values")
        if b"nodes_treeids" in messages(attribute.get(1, [])):
            _check_trees(data, attribute)
        tensors = messages([*attribute.get(5, []), *attribute.get(10, [])])
        name = f"of {op}".encode()
        return len(data) + sum(self._tensor(self._reader.read(one), name) for one in tensors)

    def _tensor(self, tensor: Message, name: bytes) -> int:
        """Check a tensor; how many numbers it holds."""
        if 13 in tensor or 3 in tensor or any(tensor.get(14, [])):
            raise _Refused(f'its weight "{_text(name)}" lies in another file')
        dims = numbers(tensor.get(1, []))
        count = math.prod(dims)
        values = [value for field in (4, 5, 6, 7, 9, 10, 11) for value in tensor.get(field, [])]
        held = sum(1 if isinstance(value, int) else len(value) for value in values)
        held += len(tensor.get(6, []))  # a text may be empty
        if count > 2 * held:  # two numbers of 4 bits share a byte
            raise _Refused(f'its weight "{_text(name)}" has fewer numbers than it says')
        kind = tensor.get(2, [0])[-1]
        packed = [*tensor.get(9, []), *tensor.get({1: 4, 11: 10}.get(_number(kind), 9), [])]
        if _number(kind) in _FLOATS and not all(
            _sound(values, *_FLOATS[_number(kind)]) for values in messages(packed)
        ):
            raise _NotFinite(f'its weight "{_text(name)}" is not finite')
        return count


def _check_trees(data: memoryview, attribute: Message) -> None:
    """Refuse a forest with a tree so large that it may be too deep."""
    if _OVERLONG.search(data):
        raise Malformed("a number longer than it has to be")
    sizes = Counter[bytes | int](_IDS.findall(data))
    sizes.update(numbers(attribute.get(8, [])))
    if sizes and max(sizes.values()) > TREE:
        raise _Refused(f"its forest has a tree of more than {TREE} nodes")


def _most(op: str, constants: list[int], held: int) -> int:
    """The most numbers that an operator answers with, its inputs being constants of such sizes."""
    if op == "Constant":
        return held
    if op in KEEPING and constants:
        return max(constants)
    if op == "Concat":
        return sum(constants)
    if op in COMBINING:
        return math.prod(constants)
    raise _Refused(f"its {op} works on constants alone (fold it before exporting)")


def _sound(data: memoryview, kind: str, exponent: int) -> bool:
    """Whether floats are finite; a single one may be infinite, as the bound of a Clip is."""
    if len(data) % np.dtype(kind).itemsize:
        raise Malformed("a weight with a part of a number")
    bits = np.frombuffer(data, kind)
    if not bits.size or int((bits & exponent).max()) != exponent:
        return True
    return bits.size == 1 and not int(bits[0]) & (exponent & -exponent) - 1


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise Malformed("bytes in the place of a number")
    return value


def _only(message: Message, field: int, what: str) -> memoryview:
    found = messages(message.get(field, []))
    if len(found) != 1:
        raise Malformed(f"it has {len(found)} of {what}")
    return found[0]


def _text(name: bytes | memoryview) -> str:
    return bytes(name[:64]).decode("utf-8", "replace")
