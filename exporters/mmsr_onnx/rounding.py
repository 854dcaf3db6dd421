"""A network that computes as its 8-bit form will, and can learn like that.

Weights and activations are rounded where `eightbit` puts its pairs, to the same numbers, and pass
their gradients on as if they were not (Jacob et al., "Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import onnx
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase

from mmsr_core.errors import ExportError
from mmsr_onnx.eightbit import (
    CHANNELS,
    WEIGHT_LIMIT,
    Floats,
    Steps,
    activations,
    pieces,
    quantizable,
    with_pairs,
    within,
)
from mmsr_onnx.graphs import expert_graph, reason, to_bytes

CONVOLUTION = torch.ops.aten.conv2d.default
RELU = torch.ops.aten.relu.default


class RoundedActivation(nn.Module):
    """Values at the nearest of the 256 numbers that `steps` has; beyond its range, no gradient."""

    scale: Tensor
    zero: Tensor

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("scale", torch.tensor(steps.scale))
        self.register_buffer("zero", torch.tensor(steps.zero, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, 0, 255)


class RoundedWeight(nn.Module):
    """Weights (o,i,h,w) at the nearest of 129 numbers, in steps of every output channel's own."""

    def forward(self, weight: Tensor) -> Tensor:
        scale = weight.detach().abs().flatten(1).amax(1) / WEIGHT_LIMIT
        scale = torch.where(scale > 0, scale, 1.0)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, scale, zero, 0, -WEIGHT_LIMIT, WEIGHT_LIMIT
        )


def rounding(module: nn.Module, tiles: Sequence[Floats]) -> nn.Module:
    """A copy of an upscaler, (n,3,h,w) → (n,3,s·h,s·w) in eval mode, that rounds as its 8-bit form.

    Its parameters have the names of the module's, which can load what it learns. Activations keep
    the ranges that they have on `tiles`, (1,3,h,w) in [0,1] of any size, as in `eightbit.quantize`.
    ExportError when torch can't trace the module, when it normalises, which exporting merges into
    its convolutions, or when none of these gains by 8 bits.
    """
    if any(isinstance(part, _NormBase) for part in module.modules()):
        raise ExportError("a network with normalisation can't learn in 8 bits")
    traced = _traced(module)
    convolutions = [node for node in traced.graph.nodes if _is_wide(node)]
    if not convolutions:
        raise ExportError(f"no convolution has {CHANNELS} input channels or more")
    steps = _steps(traced, _activations(convolutions), tiles)
    for place, node in enumerate(convolutions):
        traced.add_module(f"rounded_weight_{place}", RoundedWeight())
        with traced.graph.inserting_before(node):
            rounded = traced.graph.call_module(f"rounded_weight_{place}", (node.args[1],))
        node.update_arg(1, rounded)
    for place, (node, its) in enumerate(steps.items()):
        traced.add_module(f"rounded_activation_{place}", RoundedActivation(its))
        with traced.graph.inserting_after(node):
            rounded = traced.graph.call_module(f"rounded_activation_{place}", (node,))
        node.replace_all_uses_with(rounded)
        rounded.update_arg(0, node)  # the one that still reads what is not rounded
    traced.recompile()
    return traced


def quantize_rounded(module: nn.Module, rounded: nn.Module) -> bytes:
    """The 8-bit form of a module that has loaded what its `rounding` copy learnt, as a graph.

    Its activations keep the ranges that they had in learning: there they were cut off.
    """
    ranges = [part for part in rounded.modules() if isinstance(part, RoundedActivation)]
    model = onnx.load_from_string(expert_graph(module, _example(), "8-bit expert"))
    convolutions = quantizable(model)
    names = activations(model, convolutions)
    steps = {name: one.steps for name, one in zip(names, ranges, strict=True)}
    return to_bytes(with_pairs(model, convolutions, steps))


def _example() -> Tensor:
    return torch.rand(2, 3, 24, 25, generator=torch.Generator().manual_seed(0))


def _traced(module: nn.Module) -> fx.GraphModule:
    """The module as a graph of torch's own operators, on tiles of any size."""
    free = torch.export.Dim.AUTO
    copy = deepcopy(module).eval()
    shapes = ({0: free, 2: free, 3: free},)
    try:
        program = torch.export.export(copy, (_example(),), dynamic_shapes=shapes)
    except Exception as error:  # torch raises what the module raised, and much of its own
        raise ExportError(f"torch can't trace it ({reason(error)})") from error
    root: Any = program.module(check_guards=False)
    # Of torch.export's own kind it would refuse to be trained, and answer with a tuple.
    root.graph.set_codegen(fx.graph.CodeGen())
    result = root.graph.output_node()
    result.args = (result.args[0][0],)
    return fx.GraphModule(root, root.graph)


def _is_wide(node: fx.Node) -> bool:
    """As `eightbit.quantizable`."""
    if node.target != CONVOLUTION:
        return False
    weight: Any = node.args[1]
    return int(weight.meta["val"].shape[1]) >= CHANNELS


def _activations(convolutions: Sequence[fx.Node]) -> list[fx.Node]:
    """As in `eightbit`: inputs and outputs of the convolutions, behind a Relu that follows."""
    found: dict[Any, None] = dict.fromkeys(node.args[0] for node in convolutions)
    for node in convolutions:
        (*others, last) = node.users
        result = last if not others and last.target == RELU else node
        if not any(user.op == "output" for user in result.users):
            found[result] = None
    return list(found)


class _Spans(fx.Interpreter):
    """Runs a graph, and notes between what some of its values lie."""

    def __init__(self, traced: fx.GraphModule, nodes: Sequence[fx.Node]) -> None:
        super().__init__(traced)
        self.spans = dict.fromkeys(nodes, (0.0, 0.0))

    def run_node(self, node: fx.Node) -> Any:
        values = super().run_node(node)
        if node in self.spans:
            (low, high), (lowest, highest) = within(values.numpy()), self.spans[node]
            self.spans[node] = min(low, lowest), max(high, highest)
        return values


@torch.no_grad()
def _steps(
    traced: fx.GraphModule, nodes: Sequence[fx.Node], tiles: Sequence[Floats]
) -> Mapping[fx.Node, Steps]:
    interpreter = _Spans(traced, nodes)
    for piece in pieces(tiles):
        interpreter.run(torch.from_numpy(piece))
    return {node: Steps.of(*span) for node, span in interpreter.spans.items()}
