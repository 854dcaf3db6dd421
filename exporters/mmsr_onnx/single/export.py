"""A bundle written as one ONNX file."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import check_image, check_tiles
from mmsr_onnx.single.image import image_graph
from mmsr_onnx.single.tiles import tiles_graph

Progress = Callable[[str], None]


def export_single(
    bundle: Bundle, out: Path, tiles: bool, required_effort: bool, progress: Progress
) -> float:
    """Write a bundle as one ONNX file `out`; the largest difference from the bundle's own graphs.

    The graph takes an image of any size or, with `tiles`, any number of tiles; see `image_graph`
    and `tiles_graph`. `required_effort` makes its second input one that has to be given: some
    runtimes, ONNX Runtime's for the web among them, can't set an input that has a default.

    Raises ExportError for graphs that don't merge or answer otherwise merged, BundleError when
    `out` exists or can't be written.
    """
    if out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another --out")
    progress("merging")
    model = (tiles_graph if tiles else image_graph)(bundle, required_effort)
    onnx.checker.check_model(model, full_check=True)
    graph = bytes(model.SerializeToString(deterministic=True))
    progress("parity")
    difference = (check_tiles if tiles else check_image)(graph, bundle)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(graph)
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BundleError(f"{out}: cannot write there ({error.strerror})") from None
    return difference
