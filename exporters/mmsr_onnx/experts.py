"""The experts of a draft as graphs: converted, checked, lowered in precision, timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from mmsr_core.draft import Draft, ExpertDraft
from mmsr_core.errors import ExportError, no_such
from mmsr_core.runtime.bundle import Expert
from mmsr_onnx.cost import SIDE, cost, measure_seconds
from mmsr_onnx.graphs import expert_graph
from mmsr_onnx.memory import measure_memory
from mmsr_onnx.parity import check_network, network_inputs
from mmsr_onnx.precision import Form, Lower, eight_bit, lowered, worthwhile

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Experts:
    """What became of a draft's experts."""

    entries: tuple[Expert, ...]
    files: dict[str, bytes]
    parity: dict[str, float]
    """How far each file answers otherwise than what it was made from."""
    slowest: float
    """Seconds per LR pixel of the slowest, the unit of the costs."""


def make_experts(draft: Draft, lower: Lower | None, progress: Progress) -> Experts:
    """Convert, check and time the experts of `draft`, in the precision that `lower` wishes for.

    Raises ExportError for one that can't be converted or answers otherwise than its origin.
    """
    _check_rungs(draft)
    exact, parity = _convert(draft, progress)
    forms = {}
    for expert in draft.experts:
        if lower is not None and expert.exact is None:
            progress(f"{expert.name} in {lower.precision}")
        forms[expert.name] = _form(draft, expert, exact, lower)
    progress("costs")
    graphs = {_path(name): graph for name, graph in exact.items()}
    graphs |= {_form_path(e, forms[e.name]): forms[e.name].graph for e in draft.experts}
    seconds = measure_seconds(graphs, draft.scale)
    for name, graph in exact.items():
        form, expert = forms[name], next(e for e in draft.experts if e.name == name)
        spent = seconds[_form_path(expert, form)]
        forms[name] = worthwhile(form, graph, spent, seconds[_path(name)])
    slowest = max(seconds[_form_path(e, forms[e.name])] for e in draft.experts)
    costs = {path: cost(spent, slowest) for path, spent in seconds.items()}
    for expert in draft.experts:
        if (form := forms[expert.name]).precision != "fp32":
            parity[_form_path(expert, form)] = form.difference
    progress("memory")
    entries = []
    for expert in draft.experts:
        form = forms[expert.name]
        held = measure_memory(form.graph, draft.scale, expert.name)
        entries.append(_entry(expert, form, costs, held))
    kept = {path: graphs[path] for path in parity}
    return Experts(tuple(entries), kept, parity, slowest / SIDE**2)


def _convert(draft: Draft, progress: Progress) -> tuple[dict[str, bytes], dict[str, float]]:
    """The fp32 graphs of a draft, name → graph, and how far each file is from its origin."""
    exact: dict[str, bytes] = {}
    parity: dict[str, float] = {}
    inputs = network_inputs()
    for expert in draft.experts:
        path = _path(expert.name)
        if expert.graph is not None and expert.exact is None:
            exact[expert.name], parity[path] = expert.graph, expert.parity
        elif expert.module is not None:
            progress(path)
            exact[expert.name] = expert_graph(expert.module, torch.from_numpy(inputs[0]), path)
            parity[path] = check_network(expert.module, exact[expert.name], inputs, path)
    return exact, parity


def _check_rungs(draft: Draft) -> None:
    exact = [expert.name for expert in draft.experts if expert.exact is None]
    for expert in draft.experts:
        if expert.module is None and (expert.graph is None or expert.exact not in (None, *exact)):
            other = no_such("fp32 expert", str(expert.exact), exact, "in this draft")
            raise ExportError(f"expert {expert.name}: {other}")


def _form(draft: Draft, expert: ExpertDraft, exact: dict[str, bytes], lower: Lower | None) -> Form:
    if expert.graph is not None and expert.exact is not None:
        origin = expert.exact
        return eight_bit(expert.name, exact[origin], expert.graph, draft.scale, origin)
    if lower is None:
        return Form(exact[expert.name], "fp32")
    twins = [other.name for other in draft.experts if other.exact == expert.name]
    if twins and lower.precision == "int8":
        return Form(exact[expert.name], "fp32", f"{twins[0]} is its 8-bit form")
    return lowered(expert.name, exact[expert.name], draft.scale, lower)


def _entry(
    expert: ExpertDraft, form: Form, costs: Mapping[str, float], memory: float | None
) -> Expert:
    """An expert as the manifest states it; `costs` are those of files."""
    graph = _form_path(expert, form)
    exact = None if form.precision == "fp32" else _path(expert.exact or expert.name)
    return Expert(
        name=expert.name,
        backbone=expert.backbone,
        depth=expert.depth,
        graph=graph,
        macs=expert.macs,
        cost=costs[graph],
        radius=expert.radius,
        precision=form.precision,
        exact=exact,
        exact_cost=None if exact is None else costs[exact],
        memory=memory,
        reason=form.reason,
    )


def _path(name: str) -> str:
    return f"experts/{name}.onnx"


def _form_path(expert: ExpertDraft, form: Form) -> str:
    """Where a form lies: in a folder of its precision, where an fp32 graph has the plain name."""
    lowered_here = expert.exact is None and form.precision != "fp32"
    return f"experts/{form.precision}/{expert.name}.onnx" if lowered_here else _path(expert.name)
