"""A file of somebody's upscaler as an expert: its graph, its scale, its cost, how far it looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper

from mmsr_core.draft import GivenExpert
from mmsr_core.errors import ExportError
from mmsr_core.plugin.components import Loaded
from mmsr_onnx.eightbit import Floats, quantize
from mmsr_onnx.given.borders import Range, expert_of
from mmsr_onnx.given.locality import measure_locality
from mmsr_onnx.given.macs import count_macs
from mmsr_onnx.given.ranges import find_scale_and_ranges
from mmsr_onnx.given.read import Plain, read_plain
from mmsr_onnx.given.running import Running, open_session
from mmsr_onnx.graphs import expert_graph
from mmsr_onnx.parity import NETWORK, check_form, check_network, network_inputs


def wrap_graph(path: Path, force: bool) -> GivenExpert:
    """The upscaler in an ONNX file, its nodes as they are between the borders of an expert.

    ExportError or BundleError for what is no upscaler, or none of any size; `force` takes one
    whose range or reach can't be found.
    """
    plain = read_plain(path)
    scale, takes, gives = find_scale_and_ranges(plain, path, force)
    graph = expert_of(plain, takes, gives)
    notes = [f"{takes} to {gives}"] if (takes, gives) != (Range(0, 1), Range(0, 1)) else []
    notes += ["grey"] * (plain.channels == 1) + ["channels last"] * plain.last
    what = ", ".join(["ONNX", *notes])
    parity = _apart(plain, takes, gives, Running(graph, scale, str(path)), path)
    return _expert(path, graph, scale, what, parity, force)


def wrap_loaded(path: Path, loaded: Loaded, force: bool) -> GivenExpert:
    """An upscaler that a loader opened, as a graph; see `wrap_graph`."""
    inputs = network_inputs()
    odd = torch.from_numpy(inputs[1])  # a network that pads even sides by nothing pads these
    graph = expert_graph(loaded.module, odd, str(path))
    parity = check_network(loaded.module, graph, inputs, str(path))
    return _expert(path, graph, loaded.scale, loaded.architecture, parity, force)


def quantize_given(given: GivenExpert, tiles: Sequence[Floats]) -> bytes:
    """An expert's 8-bit form, its ranges measured on `tiles` (1,3,h,w).

    ExportError when it has none, BundleError or ExportError when that answers otherwise.
    """
    graph = quantize(given.graph, tiles)
    check_form(given.graph, graph, given.scale, given.file)
    return graph


def _apart(plain: Plain, takes: Range, gives: Range, running: Running, path: Path) -> float:
    """How far the expert answers otherwise than the file's own graph, brought there by numpy."""
    session = open_session(plain.model.SerializeToString(), str(path))
    apart = 0.0
    for tiles in network_inputs():
        given = tiles * np.float32(takes.white - takes.black) + np.float32(takes.black)
        given = given.reshape(-1, plain.channels, *tiles.shape[2:])
        given = given.transpose(0, 2, 3, 1) if plain.last else given
        if plain.type == TensorProto.UINT8:
            given = np.rint(given)
        kind = helper.tensor_dtype_to_np_dtype(plain.type)
        answer = session.run(None, {session.get_inputs()[0].name: given.astype(kind)})[0]
        answer = answer.astype(np.float32)
        answer = answer.transpose(0, 3, 1, 2) if plain.last else answer
        expected = (answer - gives.black) / (gives.white - gives.black)
        got = running(tiles)
        apart = max(apart, float(np.abs(expected.reshape(got.shape).clip(0, 1) - got).max()))
    if not apart <= NETWORK:
        raise ExportError(f"{path}: between our borders it answers otherwise, by {apart:.2g}")
    return apart


def _expert(
    path: Path, graph: bytes, scale: int, architecture: str, parity: float, force: bool
) -> GivenExpert:
    if not 2 <= scale <= 16:
        raise ExportError(f"{path}: enlarges by {scale}; a bundle enlarges by 2 to 16")
    running = Running(graph, scale, str(path))
    for tiles in network_inputs():
        running(tiles)
    where = measure_locality(running, scale, str(path), force)
    return GivenExpert(
        file=path.name,
        architecture=architecture,
        scale=scale,
        graph=graph,
        macs=count_macs(graph, str(path)),
        radius=where.radius,
        halo=where.halo,
        parity=parity,
    )
