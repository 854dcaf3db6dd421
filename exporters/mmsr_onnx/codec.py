"""A codec's draft as a bundle: two graphs, checked against Python, and the tables beside them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from mmsr_core import __version__
from mmsr_core.draft import CodecDraft
from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import CodecBundle, Made, digest, write_files
from mmsr_core.runtime.codec.manifest import CodecManifest, QualityPoint, Transform
from mmsr_onnx.assemble import check_labels
from mmsr_onnx.graphs import IMAGE, UPSCALED, from_torch, to_bytes
from mmsr_onnx.parity import check_network, textured_tiles

ENCODER, DECODER, TABLES = "encoder.onnx", "decoder.onnx", "tables.npz"


def export_codec(draft: CodecDraft, out: Path, progress: Callable[[str], None]) -> CodecBundle:
    """Write `draft` as a bundle directory `out`; `progress` is told what is being done.

    Both graphs are compared with the Python they came from before anything is written. Raises
    ExportError for a graph that can't be made or answers otherwise, BundleError when `out` exists.
    """
    check_labels(draft.name, draft.version)
    if out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another --out")
    images = [textured_tiles(2, 64, 96, seed=1), textured_tiles(3, 48, 40, seed=2)]
    progress(ENCODER)
    encoder, encoder_parity = _graph(draft.encoder, images, ("images", "codes"), ENCODER)
    with torch.no_grad():
        codes = [draft.encoder(torch.from_numpy(one)).numpy() for one in images]
    progress(DECODER)
    decoder, decoder_parity = _graph(draft.decoder, codes, ("codes", "images"), DECODER)
    files = {ENCODER: encoder, DECODER: decoder, TABLES: draft.tables}
    manifest = CodecManifest(
        name=draft.name,
        version=draft.version,
        codec=draft.codec,
        channels=draft.channels,
        encoder=Transform(graph=ENCODER, radius=draft.encoder_radius),
        decoder=Transform(graph=DECODER, radius=draft.decoder_radius),
        tables=TABLES,
        qualities=tuple(QualityPoint.model_validate(one) for one in draft.qualities),
        files=digest(files),
        made=Made(
            by=f"mmsr {__version__}",
            versions={
                "torch": torch.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
            recipe=draft.made.get("recipe", {}),
            data=tuple(draft.made.get("data", ())),
            scores=draft.made.get("scores", {})
            | {"parity": {ENCODER: encoder_parity, DECODER: decoder_parity}},
        ),
    )
    write_files(out, manifest, files)
    return CodecBundle.open(out)


def _graph(
    module: nn.Module,
    inputs: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
    names: tuple[str, str],
    name: str,
) -> tuple[bytes, float]:
    """A transform as a file's bytes, and the largest difference between it and its Python."""
    example = torch.from_numpy(inputs[0])
    graph = to_bytes(from_torch(module, example, names, (IMAGE, UPSCALED), name))
    return graph, check_network(module, graph, inputs, name)
