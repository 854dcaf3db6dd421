"""From a draft to a bundle, step by step."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
import torch
from pydantic import TypeAdapter, ValidationError

from mmsr_core import __version__
from mmsr_core.draft import Draft, FuserDraft, RouterDraft
from mmsr_core.errors import ExportError
from mmsr_core.plugin.stages import apply
from mmsr_core.runtime.bundle import (
    Bundle,
    Effort,
    Fuser,
    Made,
    Manifest,
    Name,
    Route,
    Router,
    Tiles,
    Version,
    digest,
    write_bundle,
)
from mmsr_core.runtime.plan import Costs, calibrate
from mmsr_onnx.cost import measure_router
from mmsr_onnx.experts import Experts, make_experts
from mmsr_onnx.graphs import chain, from_sklearn, from_torch, to_bytes
from mmsr_onnx.parity import check_network, check_router, textured_tiles
from mmsr_onnx.precision import Lower

ROUTER = "router.onnx"
Progress = Callable[[str], None]


def assemble(draft: Draft, out: Path, progress: Progress, lower: Lower | None = None) -> Bundle:
    """Convert, check, measure and calibrate `draft`, then write it to `out` in one step."""
    check_labels(draft.name, draft.version)
    candidates = {fuser.name: _candidates(draft, fuser.name) for fuser in draft.fusers}
    experts = make_experts(draft, lower, progress)
    files, parity = dict(experts.files), dict(experts.parity)
    for fuser in draft.fusers:
        name = f"fusers/{fuser.name}.onnx"
        progress(name)
        files[name], parity[name] = _fuser(fuser, candidates[fuser.name], name)
    progress(ROUTER)
    files[ROUTER], parity[ROUTER] = _router(draft.router, draft.cell)
    asking = measure_router(files[ROUTER], draft.cell, draft.router.output, len(draft.classes))
    progress("effort")
    effort = _effort(draft, {expert.name: expert.cost for expert in experts.entries})
    router = Router(
        graph=ROUTER,
        output=draft.router.output,
        features=draft.router.feature_names,
        cost=asking / experts.slowest,
    )
    return write_bundle(out, _manifest(draft, experts, router, files, parity, effort), files)


def check_labels(name: str, version: str) -> None:
    """ExportError unless a bundle can be called so."""
    for what, value, kind in (("name", name, Name), ("version", version, Version)):
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise ExportError(f'"{value}" is no {what} for a bundle: {problem}') from None


def _candidates(draft: Draft, fuser: str) -> int:
    counts = {len(experts) for experts, name in draft.routes.values() if name == fuser}
    if len(counts) != 1:
        raise ExportError(
            f"fuser {fuser}: routes give it {sorted(counts)} candidates; one graph takes one number"
        )
    return counts.pop()


def _fuser(fuser: FuserDraft, k: int, name: str) -> tuple[bytes, float]:
    inputs = []
    for n, height, width, seed in ((2, 48, 32, 1), (3, 21, 37, 2)):
        tiles = textured_tiles(n, height, width, seed)[:, None]
        noise = np.random.default_rng(seed).normal(0, 0.02, (n, k, 3, height, width))
        inputs.append((tiles + noise).clip(0, 1).astype(np.float32))
    example = torch.from_numpy(inputs[0])
    axes = (("n", None, None, "h", "w"), ("n", None, "h", "w"))
    graph = to_bytes(from_torch(fuser.module, example, ("candidates", "fused"), axes, name))
    return graph, check_network(fuser.module, graph, inputs, name)


def _router(router: RouterDraft, cell: int) -> tuple[bytes, float]:
    """Extractor and stages as one graph, and how far it is from them.

    Only the number of tiles is free: the size of a cell is the bundle's own.
    """
    inputs = [textured_tiles(16, cell, cell, seed=1), textured_tiles(5, cell, cell, seed=2)]
    tiles = torch.from_numpy(inputs[0])
    axes = ("n", None, None, None), ("n", None)
    graphs = [from_torch(router.extractor, tiles, ("tiles", "features"), axes, ROUTER)]
    with torch.no_grad():
        values = np.asarray(router.extractor(tiles).numpy(), np.float32)
    wires = ["features", *(f"stage{place}" for place in range(1, len(router.stages)))]
    for stage, names in zip(
        router.stages, zip(wires, [*wires[1:], router.output], strict=True), strict=True
    ):
        if isinstance(stage, torch.nn.Module):
            both = ("n", None), ("n", None)
            graphs.append(from_torch(stage, torch.from_numpy(values), names, both, ROUTER))
        else:
            graphs.append(from_sklearn(stage, values.shape[1], names, ROUTER))
        values = apply([stage], values).reshape(len(values), -1).astype(np.float32)
    graph = to_bytes(chain(graphs, keep="features"))
    difference = check_router(router.extractor, router.stages, router.output, graph, inputs, ROUTER)
    return graph, difference


def _effort(draft: Draft, costs: Mapping[str, float]) -> Effort:
    times = [[costs[name] for name in draft.routes[label][0]] for label in draft.classes]
    data = draft.router.calibration
    return calibrate(
        draft.router.predictions,
        data.errors,
        data.images,
        [(int(height), int(width)) for height, width in data.shapes],
        Costs.of(times, draft.halo + draft.seam),
        draft.cell,
        draft.router.output,
        draft.tolerance,
    )


def _manifest(
    draft: Draft,
    experts: Experts,
    router: Router,
    files: Mapping[str, bytes],
    parity: Mapping[str, float],
    effort: Effort,
) -> Manifest:
    scores: dict[str, Any] = draft.made.get("scores", {})
    return Manifest(
        name=draft.name,
        version=draft.version,
        scale=draft.scale,
        classes=draft.classes,
        routes={
            label: Route(experts=experts, fuser=fuser)
            for label, (experts, fuser) in draft.routes.items()
        },
        experts=experts.entries,
        fusers={
            fuser.name: Fuser(graph=f"fusers/{fuser.name}.onnx", radius=fuser.radius)
            for fuser in draft.fusers
        },
        router=router,
        tiles=Tiles(cell=draft.cell, halo=draft.halo, seam=draft.seam),
        effort=effort,
        files=digest(files),
        made=Made(
            by=f"mmsr {__version__}",
            versions={
                "torch": torch.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "skl2onnx": skl2onnx.__version__,
                "scikit-learn": sklearn.__version__,
            },
            recipe=draft.made.get("recipe", {}),
            data=tuple(draft.made.get("data", ())),
            scores=scores | {"parity": dict(parity)},
        ),
    )
