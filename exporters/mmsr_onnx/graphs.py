"""Torch modules and scikit-learn estimators as ONNX graphs, and chains of them as one graph."""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, compose
from torch import nn
from torch.nn.utils import parametrize

from mmsr_core.errors import ExportError

# One opset and IR version for every graph: merging wants them equal. 18 is what torch's exporter
# writes without converting.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 10
IMAGE = ("n", None, "h", "w")
UPSCALED = ("n", None, "H", "W")
"""Free axes of what an upscaler takes and gives."""
OPSETS = {"": OPSET, "ai.onnx.ml": ML_OPSET}

Floats = np.ndarray[Any, np.dtype[np.float32]]


def expert_graph(module: nn.Module, example: torch.Tensor, what: str) -> bytes:
    """An upscaler as a file's bytes: tiles (n,3,h,w) → upscaled (n,3,s·h,s·w). See `from_torch`."""
    names = ("tiles", "upscaled")
    return to_bytes(from_torch(module, example, names, (IMAGE, UPSCALED), what))


def from_torch(
    module: nn.Module,
    example: torch.Tensor,
    names: tuple[str, str],
    axes: tuple[Sequence[str | None], Sequence[str | None]],
    what: str,
) -> ModelProto:
    """A graph of `module` with the input and the output that `names` names.

    `axes` names the free axes of input and output; None is an axis that `example` fixes, and "k"
    one that stays free where the module allows it. The example's free axes have to be 2 or more.
    Raises ExportError when torch can't export the module so.
    """
    dim = torch.export.Dim
    shapes = {
        axis: dim.AUTO if name == "k" else dim.DYNAMIC
        for axis, name in enumerate(axes[0])
        if name is not None
    }
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _plain(module).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[names[0]],
                output_names=[names[1]],
                dynamic_shapes=(shapes,),
                verbose=False,
            )
    except Exception as error:  # torch's exporter wraps whatever the module raised
        raise ExportError(f"{what}: torch can't export it ({_reason(error)})") from error
    if program is None:
        raise ExportError(f"{what}: torch can't export it")
    model = program.model_proto
    for value, free in zip((model.graph.input[0], model.graph.output[0]), axes, strict=True):
        for size, name in zip(value.type.tensor_type.shape.dim, free, strict=True):
            if name is not None and size.dim_param:
                size.dim_param = name
    return cleaned(model)


def from_sklearn(estimator: Any, features: int, names: tuple[str, str], what: str) -> ModelProto:
    """A graph of a fitted estimator, (n,features) → probabilities or predictions (n,…).

    Raises ExportError when skl2onnx can't convert it.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs

    classifies = hasattr(estimator, "predict_proba")
    try:
        with _quiet():
            model = to_onnx(
                estimator,
                initial_types=[(names[0], FloatTensorType([None, features]))],
                target_opset=OPSETS,
                options={"zipmap": False} if classifies else None,
            )
            answer = onnx.ValueInfoProto()
            answer.CopyFrom(model.graph.output[1 if classifies else 0])
            model = select_model_inputs_outputs(model, outputs=[answer.name])
            model.graph.output[0].CopyFrom(answer)  # selecting loses its type
    except Exception as error:  # skl2onnx's exceptions share no useful base
        raise ExportError(f"{what}: skl2onnx can't convert it ({_reason(error)})") from error
    _rename(model, answer.name, names[1])
    return cleaned(model)


def chain(graphs: Sequence[ModelProto], keep: str) -> ModelProto:
    """One graph of several, each one's output being the next one's input of the same name.

    The tensor `keep` stays an output beside the last one.
    """
    whole, *rest = (
        compose.add_prefix(graph, f"{place}/", rename_inputs=False, rename_outputs=False)
        for place, graph in enumerate(graphs)
    )
    kept = onnx.ValueInfoProto()
    kept.CopyFrom(next(value for value in whole.graph.output if value.name == keep))
    for graph in rest:
        wire = graph.graph.input[0].name
        whole = compose.merge_models(whole, graph, io_map=[(wire, wire)])
    if rest:
        whole.graph.output.insert(0, kept)
    return cleaned(whole)


def rewritten(
    model: ModelProto, nodes: Sequence[NodeProto], added: Iterable[TensorProto]
) -> ModelProto:
    """The model with other nodes, and with those of its own and the added tensors that they use."""
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    del result.graph.initializer[:]
    result.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    tensors = [*model.graph.initializer, *added]
    result.graph.initializer.extend(tensor for tensor in tensors if tensor.name in used)
    return result


def to_bytes(model: ModelProto) -> bytes:
    """The graph as a file's bytes, checked by onnx, the same at every call."""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _plain(module: nn.Module) -> nn.Module:
    """The module with its parametrised weights as numbers: a graph has no use for their making."""
    module = deepcopy(module)
    for part in module.modules():
        for name in list(getattr(part, "parametrizations", ())):
            # Torch keeps a parametrised weight in a class of the module's own, which its copy
            # shares: the original would lose its weight.
            own = type(part)
            part.__class__ = type(own.__name__, own.__bases__, dict(vars(own)))
            parametrize.remove_parametrizations(part, name)
    return module


def cleaned(model: ModelProto) -> ModelProto:
    """Without stack traces and other notes of the machine that exported it."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "mmsr", "", ""
    model.graph.name = "mmsr"
    del model.graph.value_info[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    return model


def _rename(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for value in model.graph.output:
        if value.name == old:
            value.name = new


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks about packages that aren't there and internals to come."""
    loggers: Mapping[str, logging.Logger] = {
        name: logging.getLogger(name) for name in ("torch.onnx", "skl2onnx")
    }
    before = {name: logger.level for name, logger in loggers.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers.values():
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, logger in loggers.items():
                logger.setLevel(before[name])
