"""A bundle's graphs as parts of one circuit: their weights once, their nodes once per use."""

from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto, compose, helper, inliner, version_converter

from mmsr_core.errors import ExportError
from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.circuit import Circuit, Wire

# Written out: those of `mmsr_onnx.graphs` come with torch, and merging does without.
OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 10


@dataclass(frozen=True)
class Part:
    """One graph of a bundle, ready to be used in a circuit any number of times."""

    circuit: Circuit
    graph: GraphProto
    name: str

    def run(self, tensor: Wire, output: str) -> Wire:
        """Add the graph's nodes, fed with `tensor`; its float32 output of that name."""
        circuit = self.circuit
        prefix = f"{len(circuit.nodes)}/"
        # The weights keep their names, and so are shared by all uses.
        copy = compose.add_prefix_graph(self.graph, prefix, rename_initializers=False)
        circuit.nodes.append(helper.make_node("Identity", [tensor.name], [copy.input[0].name]))
        circuit.nodes.extend(copy.node)
        return Wire(circuit, f"{prefix}{self.name}/{output}", "float32")


def read_part(circuit: Circuit, bundle: Bundle, path: str, output: str) -> Part:
    """The graph at `path` of a bundle, its weights added to the circuit.

    Raises ExportError for a graph that can't be merged: unreadable, of a newer opset, not of one
    input, or without `output`.
    """
    try:
        model = onnx.load_model_from_string(bundle.graph(path))
        model = _modern(inliner.inline_local_functions(model))
    except Exception as error:  # onnx's own exceptions share no useful base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{path}: onnx can't merge it ({reason})") from None
    name = path.removesuffix(".onnx")
    graph = model.graph
    if len(graph.input) != 1 or output not in {value.name for value in graph.output}:
        raise ExportError(f"{path}: a graph with one input and an output {output} is wanted")
    del graph.value_info[:]
    for node in graph.node:
        _clean(node)
    graph = compose.add_prefix_graph(graph, f"{name}/")
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
        circuit.tensors[tensor.name] = tensor
    return Part(circuit, graph, name)


def _modern(model: ModelProto) -> ModelProto:
    """Of the one opset that all parts share."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} & set(versions)):
        if domain not in OPSETS:
            raise ValueError(f'operators of "{domain}" run nowhere else')
        if versions[domain] > OPSETS[domain]:
            raise ValueError(f"opset {versions[domain]} is newer than {OPSETS[domain]}")
    if versions.get("", OPSETS[""]) < OPSETS[""]:
        return version_converter.convert_version(model, OPSETS[""])
    return model


def _clean(node: NodeProto) -> None:
    node.doc_string = ""
    del node.metadata_props[:]
