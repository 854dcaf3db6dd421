"""The one graph in parts: the runtime that WebGPU needs has no trees, and so can't make the plan.

The plan is made in WebAssembly; the page cuts its windows, runs their experts and stitches.
"""

from pathlib import Path

import onnx

from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import check_plan
from mmsr_onnx.single.image import plan_graph

PLAN = "plan.onnx"


def write_parts(bundle: Bundle, folder: Path) -> dict[str, object]:
    """Write the plan's graph and every graph that a route runs; what the page has to know of them.

    Raises ExportError for a router that doesn't merge or plans otherwise merged.
    """
    model = plan_graph(bundle)
    onnx.checker.check_model(model, full_check=True)
    plan = bytes(model.SerializeToString(deterministic=True))
    check_plan(plan, bundle)
    (folder / PLAN).write_bytes(plan)
    manifest = bundle.manifest
    experts = {expert.name: expert.graph for expert in manifest.experts}
    names: dict[str, str] = {}

    def write(path: str) -> str:
        if path not in names:
            names[path] = f"part-{len(names)}.onnx"
            (folder / names[path]).write_bytes(bundle.graph(path))
        return names[path]

    routes = [
        {
            "experts": [write(experts[name]) for name in route.experts],
            "fuser": None if route.fuser is None else write(manifest.fusers[route.fuser].graph),
        }
        for route in (manifest.routes[name] for name in manifest.classes)
    ]
    return {"plan": PLAN, "routes": routes}
