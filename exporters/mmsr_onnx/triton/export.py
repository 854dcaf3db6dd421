"""A model repository for Triton: config.pbtxt and the graph of whole images, in batches."""

import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import Bundle, Manifest
from mmsr_onnx.single.check import check_images
from mmsr_onnx.single.image import images_graph

VERSION = "1"
"""Of the model in its repository: Triton's are whole numbers."""
BATCH = 8
"""Images of one size that the server may run together."""
DELAY = 2000
"""Microseconds that an image waits for others of its size."""


def export_triton(
    bundle: Bundle, repository: Path, python: bool, progress: Callable[[str], None]
) -> tuple[Path, float]:
    """Add a bundle to a model repository; its folder there, and its difference from its parts.

    The model takes `images` (n,3,h,w) and `effort` (n,1), and answers `upscaled` (n,3,s·h,s·w) and
    `routes` (n,rows,columns). It runs on Triton's ONNX Runtime backend or, with `python`, on its
    Python backend, which then needs numpy and onnxruntime.

    Raises ExportError for graphs that don't merge or answer otherwise merged, BundleError when the
    repository has a model of that name or can't be written. The folder appears whole or not at all.
    """
    out = repository / bundle.manifest.name
    if out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another --triton")
    progress("merging")
    model = images_graph(bundle)
    onnx.checker.check_model(model, full_check=True)
    graph = bytes(model.SerializeToString(deterministic=True))
    progress("parity")
    difference = check_images(graph, bundle)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        # Beside the repository, not in it: a server that polls would take it for a model.
        beside = repository.resolve().parent
        with TemporaryDirectory(prefix=f".{repository.name}.", dir=beside) as work:
            folder = Path(work) / out.name
            (folder / VERSION).mkdir(parents=True)
            (folder / VERSION / "model.onnx").write_bytes(graph)
            if python:
                code = (resources.files("mmsr_onnx.triton") / "model.py").read_bytes()
                (folder / VERSION / "model.py").write_bytes(code)
            (folder / "config.pbtxt").write_text(config(bundle.manifest, python), encoding="utf-8")
            folder.chmod(0o755)
            os.replace(folder, out)
    except OSError as error:
        raise BundleError(f"{out}: cannot write there ({error.strerror})") from None
    return out, difference


def config(manifest: Manifest, python: bool) -> str:
    """The model's config.pbtxt."""
    backend = "python" if python else "onnxruntime"
    facts = {
        "version": manifest.version,
        "scale": str(manifest.scale),
        "cell": str(manifest.tiles.cell),
        "default_effort": repr(manifest.effort.default),
        "classes": ",".join(manifest.classes),
    }
    parameters = "\n".join(
        f"parameters {{ key: {_text(key)} value {{ string_value: {_text(fact)} }} }}"
        for key, fact in facts.items()
    )
    return f"""\
# {manifest.name} {manifest.version}: pixels are float32 RGB in [0,1], planes R, G, B.
name: {_text(manifest.name)}
backend: {_text(backend)}
max_batch_size: {BATCH}
input [
  {{ name: "images" data_type: TYPE_FP32 dims: [ 3, -1, -1 ] }},
  {{ name: "effort" data_type: TYPE_FP32 dims: [ 1 ] }}
]
output [
  {{ name: "upscaled" data_type: TYPE_FP32 dims: [ 3, -1, -1 ] }},
  {{ name: "routes" data_type: TYPE_INT64 dims: [ -1, -1 ] }}
]
# Images of the same size that wait at the same time run together; each is planned for itself.
dynamic_batching {{ max_queue_delay_microseconds: {DELAY} }}
{parameters}
"""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
