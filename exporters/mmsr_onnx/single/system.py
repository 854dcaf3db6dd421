"""A bundle's graphs in one circuit, and the circuit as a model."""

import json
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from mmsr_core.runtime.bundle import Bundle, Manifest
from mmsr_onnx.single.circuit import Circuit, Wire
from mmsr_onnx.single.parts import IR_VERSION, OPSETS, Part, read_part

EFFORT = "effort"


@dataclass(frozen=True)
class System:
    """A bundle's graphs in one circuit."""

    manifest: Manifest
    circuit: Circuit
    router: Part
    experts: dict[str, Part]
    fusers: dict[str, Part]

    def upscale(self, tiles: Wire, route: int) -> Wire:
        """What a route answers: tiles (k,3,h,w) → upscaled (k,3,s·h,s·w)."""
        chosen = self.manifest.routes[self.manifest.classes[route]]
        answers = [self.experts[name].run(tiles, "upscaled") for name in chosen.experts]
        if chosen.fuser is None:
            return answers[0]
        axis = self.circuit.constant(np.array([1], np.int64))
        candidates = [
            self.circuit.add("Unsqueeze", [answer, axis], "float32") for answer in answers
        ]
        return self.fusers[chosen.fuser].run(self.circuit.join(candidates, 1), "fused")


def read_router(bundle: Bundle) -> System:
    """The router alone: enough for a plan. ExportError for one that can't be merged."""
    manifest, circuit = bundle.manifest, Circuit()
    router = read_part(circuit, bundle, manifest.router.graph, manifest.router.output)
    return System(manifest, circuit, router, {}, {})


def read_system(bundle: Bundle) -> System:
    """Every graph that a route needs; ExportError for one that can't be merged."""
    system = read_router(bundle)
    manifest, circuit = system.manifest, system.circuit
    used = {name for route in manifest.routes.values() for name in route.experts}
    experts = {
        expert.name: read_part(circuit, bundle, expert.graph, "upscaled")
        for expert in manifest.experts
        if expert.name in used
    }
    fusers = {
        name: read_part(circuit, bundle, fuser.graph, "fused")
        for name, fuser in manifest.fusers.items()
    }
    return replace(system, experts=experts, fusers=fusers)


def value(name: str, shape: tuple[int | str, ...], kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    """An input or an output; a free axis has a name."""
    return helper.make_tensor_value_info(name, kind, shape)


def to_model(
    system: System,
    inputs: list[ValueInfoProto],
    outputs: list[tuple[Wire, ValueInfoProto]],
    kind: str,
    required_effort: bool,
    effort: tuple[int | str, ...] = (),
) -> ModelProto:
    """The circuit with these inputs, then `effort`, and these outputs; the bundle's facts in it.

    `effort` is the shape of that input; a scalar one may have a default.
    """
    manifest, circuit = system.manifest, system.circuit
    nodes = list(circuit.nodes)
    for wire, info in outputs:
        nodes.append(helper.make_node("Identity", [wire.name], [info.name], info.name))
    tensors = list(circuit.tensors.values())
    if not required_effort:
        tensors.append(helper.make_tensor(EFFORT, TensorProto.FLOAT, (), [manifest.effort.default]))
    graph = helper.make_graph(
        nodes,
        "mmsr",
        [*inputs, value(EFFORT, effort)],
        [info for _, info in outputs],
        tensors,
    )
    domains = {node.domain for node in nodes}
    versions = {domain: number for domain, number in OPSETS.items() if domain in domains}
    model: ModelProto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in versions.items()],
        ir_version=IR_VERSION,
        producer_name="mmsr",
    )
    facts = {
        "name": manifest.name,
        "version": manifest.version,
        "kind": kind,
        "scale": manifest.scale,
        "cell": manifest.tiles.cell,
        "halo": manifest.tiles.halo,
        "effort": manifest.effort.default,
        "classes": manifest.classes,
    }
    texts = {
        name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()
    }
    helper.set_model_props(model, texts)
    return model
