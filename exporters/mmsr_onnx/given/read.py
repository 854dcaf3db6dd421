"""A plain ONNX upscaler, looked at: what it takes and gives, before anything is run."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, version_converter

from mmsr_core.errors import ExportError
from mmsr_onnx.graphs import OPSET

PREFIX = "given/"
"""Of every name inside the graph, so that ours are free."""
TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
}


@dataclass(frozen=True)
class Plain:
    """A graph with one picture in and one out, its number of pictures made free."""

    model: ModelProto
    type: int
    """TensorProto's, of the input; the output's is `answers`."""
    answers: int
    last: bool
    """Channels come last, (n,h,w,c), not first."""
    channels: int


def read_plain(path: Path) -> Plain:
    """The upscaler in an ONNX file.

    ExportError for what is none: several inputs or outputs, other ranks or types, other channels
    than 1 or 3, pictures of one size alone.
    """
    model = _load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ExportError(
            f"{path}: takes {len(inputs)} inputs and gives {len(outputs)} outputs; an upscaler has "
            "one of each, a picture"
        )
    for value in (*inputs, *outputs):
        if _type(value) not in TYPES:
            kind = TensorProto.DataType.Name(_type(value)).lower()
            raise ExportError(f"{path}: {value.name} is of {kind}, not {', '.join(TYPES.values())}")
    sizes = [_sizes(value) for value in (*inputs, *outputs)]
    if len(sizes[0]) != 4 or (sizes[1] and len(sizes[1]) != 4):
        raise ExportError(f"{path}: takes {sizes[0]} and gives {sizes[1]}, no pictures")
    last = sizes[0][1] not in (1, 3) and sizes[0][3] in (1, 3)
    _, channels, *sides = (sizes[0][place] for place in ((0, 3, 1, 2) if last else (0, 1, 2, 3)))
    if channels not in (None, 1, 3):
        raise ExportError(f"{path}: takes {channels} channels; an expert takes 3 (RGB) or 1 (grey)")
    if any(side is not None for side in sides):
        raise ExportError(
            f"{path}: takes pictures of {' by '.join(str(side or 'any') for side in sides)} pixels "
            "alone; export it again with dynamic height and width"
        )
    types = _type(inputs[0]), _type(outputs[0])
    return Plain(_prepared(model, inputs[0]), *types, last, channels or 3)


def _load(path: Path) -> ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except OSError as error:
        raise ExportError(f"{path}: cannot read it ({error.strerror or error})") from None
    except Exception as error:  # protobuf's and onnx's own, which share no useful base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{path}: not an ONNX graph, or a damaged one ({reason})") from None
    return _converted(model)


def _converted(model: ModelProto) -> ModelProto:
    """The model in the opset of our own graphs, so that it can be merged with them; or as it is."""
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), OPSET)
    if version >= OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception:  # ONNX Runtime knows the old one as well
        return model


def _prepared(model: ModelProto, given: ValueInfoProto) -> ModelProto:
    """With names of its own, its number of pictures free and no shapes written down."""
    prepared: ModelProto = onnx.compose.add_prefix(model, PREFIX)
    del prepared.graph.value_info[:]
    name = PREFIX + given.name
    kept = next(value for value in prepared.graph.input if value.name == name)
    kept.type.tensor_type.shape.dim[0].dim_param = "n"
    del prepared.graph.input[:]
    prepared.graph.input.append(kept)
    prepared.graph.output[0].type.tensor_type.ClearField("shape")
    return prepared


def _type(value: ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _sizes(value: ValueInfoProto) -> list[int | None]:
    """The fixed axes of a tensor; None for a free one."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
