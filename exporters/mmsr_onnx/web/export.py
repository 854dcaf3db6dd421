"""A page, its graph and the runtime that it needs, in one folder that any web server can serve."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import Bundle, Manifest
from mmsr_onnx.single import export_single
from mmsr_onnx.web.runtime import VERSION, WASM, WEBGPU, read_runtime
from mmsr_onnx.web.webgpu import write_parts

GRAPH = "model.onnx"
FACTS = "model.json"


def export_web(
    bundle: Bundle,
    out: Path,
    runtime: Path | None,
    progress: Callable[[str], None],
    webgpu: bool = True,
) -> float:
    """Write the page of a bundle as a new folder `out`; the graph's difference from its parts.

    `runtime` is the npm package that runs the graph in a browser, packed or unpacked; None for
    npm to fetch it. With `webgpu` the page can use the visitor's GPU. Raises ExportError without
    the runtime, and for graphs that don't merge; BundleError when `out` exists or can't be
    written. The folder appears whole or not at all.
    """
    if out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another --web")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            folder = Path(work) / "page"
            folder.mkdir()
            progress("the browser's runtime")
            for name, content in read_runtime(runtime, WASM + WEBGPU * webgpu).items():
                (folder / name).write_bytes(content)
            bundle = replace(bundle, manifest=_exact(bundle.manifest))
            difference = export_single(bundle, folder / GRAPH, False, True, progress)
            facts = _facts(bundle.manifest)
            if webgpu:
                progress("the parts for WebGPU")
                facts["webgpu"] = write_parts(bundle, folder)
            (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")
            for asset in (resources.files("mmsr_onnx.web") / "page").iterdir():
                if asset.is_file():
                    (folder / asset.name).write_bytes(asset.read_bytes())
            _check_room(folder)
            os.replace(folder, out)
    except OSError as error:
        raise BundleError(f"{out}: cannot write there ({error.strerror})") from None
    return difference


def _exact(manifest: Manifest) -> Manifest:
    """The manifest with every expert's fp32 graph, at the cost that its plans were made with.

    WebAssembly rounds 8-bit sums otherwise than a CPU does, and knows no fp16. The costs stay, so
    that the page takes the routes that the bundle was calibrated for.
    """
    experts = tuple(
        expert.model_copy(
            update={
                "graph": expert.exact,
                "precision": "fp32",
                "exact": None,
                "exact_cost": None,
            }
        )
        if expert.exact is not None
        else expert
        for expert in manifest.experts
    )
    return manifest.model_copy(update={"experts": experts})


def _facts(manifest: Manifest) -> dict[str, object]:
    """What the page has to know of its graph."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "scale": manifest.scale,
        "cell": manifest.tiles.cell,
        "halo": manifest.tiles.halo,
        "effort": manifest.effort.default,
        "classes": list(manifest.classes),
        "graph": GRAPH,
        "runtime": VERSION,
        "webgpu": None,
    }


def _check_room(folder: Path) -> None:
    """Have everything on the disc before the folder gets its name."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
