"""The graph for tiles that the caller cut: a route for each, and its expert's answer."""

import numpy as np
from onnx import ModelProto, TensorProto

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.plan import costs_of
from mmsr_onnx.single.circuit import Wire
from mmsr_onnx.single.pieces import Pieces, batch
from mmsr_onnx.single.plan import best_routes, losses, price
from mmsr_onnx.single.system import EFFORT, read_system, to_model, value


def tiles_graph(bundle: Bundle, required_effort: bool = False) -> ModelProto:
    """`tiles` (n,3,t+2·halo,t+2·halo), and `effort` → `upscaled` (n,3,s·t,s·t) and `routes` (n)."""
    system = read_system(bundle)
    manifest, circuit = system.manifest, system.circuit
    cell, halo, scale = manifest.tiles.cell, manifest.tiles.halo, manifest.scale
    side = cell + 2 * halo
    costs = costs_of(manifest, halo)
    tiles = Wire(circuit, "tiles", "float32")
    effort = Wire(circuit, EFFORT, "float32").cast("float64").reshape(1, 1, 1, 1)
    count = tiles.size(0)
    spare = tiles.padded(1, 0, 0, 0)  # so that no batch is empty
    scores = system.router.run(_middle(spare, halo, cell), manifest.router.output)
    scores = scores.slice(0, 0, count)  # a photograph of one row
    scores = circuit.add("Unsqueeze", [scores, circuit.vector(0, 1)], "float32")
    lost = losses(scores, manifest.router.output, effort, costs)
    area = (count.at_least(1) * cell**2).cast("float64")
    charge = price(effort, manifest.effort) * float(side**2) / area
    routes = best_routes(lost, charge, costs).reshape(-1)
    pieces = Pieces(scale, circuit.vector(0))
    mine, begins = [], []
    for number in range(len(manifest.classes)):
        mine.append(routes.equals(number).places())
        begins.append(pieces.add(system.upscale(batch(spare, mine[-1]), number), mine[-1]))
    zeros = circuit.constant(np.array(0, np.int64)).full(count)
    begin = zeros.put(circuit.join(mine), circuit.join(begins)).cast("int32")
    whole = np.arange(3 * side * scale * side, dtype=np.int32).reshape(3, side * scale, side)
    inner = whole[:, halo * scale : (halo + cell) * scale, halo : halo + cell]
    place = begin.reshape(-1, 1) + inner.reshape(1, -1)
    upscaled = pieces.take(place).reshape(count, 3, cell * scale, cell * scale)
    inputs = [value("tiles", ("n", 3, side, side))]
    outputs = [(upscaled, value("upscaled", ("n", 3, cell * scale, cell * scale)))]
    outputs += [(routes, value("routes", ("n",), TensorProto.INT64))]
    return to_model(system, inputs, outputs, "tiles", required_effort)


def _middle(tiles: Wire, margin: int, side: int) -> Wire:
    for axis in (2, 3):
        tiles = tiles.slice(axis, margin, margin + side)
    return tiles
