"""What one would run without mmsr: plain ONNX Runtime, OpenCV, Pillow, torch with spandrel.

A peer has the benchmark's way of reading and writing files, so that only upscaling differs.
"""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmsr_core.errors import MmsrError
from mmsr_core.measure.evaluate import Answer, Upscale
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.image import quantize
from mmsr_core.runtime.tiles import Floats, Grid

ONNXRUNTIME, SPANDREL = "plain onnxruntime", "torch spandrel"
"""Names of peers; no expert's has a space."""
TILE, OVERLAP = 256, 16
"""LR pixels of spandrel's tiles and of their context, as upscaling programs cut by default."""


def find_peers(checkpoint: Path | None) -> tuple[list[str], list[str]]:
    """The peers that are installed, and a line for each that is absent: its name and why."""
    present, absent = [ONNXRUNTIME, *_OPENCV], []
    if find_spec("PIL"):
        present += _PILLOW
    else:
        absent.append("pillow (not installed)")
    if not find_spec("spandrel"):
        absent.append("torch with spandrel (spandrel is not installed)")
    elif checkpoint is None:
        absent.append("torch with spandrel (no --peer-checkpoint)")
    else:
        present.append(SPANDREL)
    return present, absent


def open_peer(name: str, scale: int, device: str, source: Path | None) -> Upscale:
    """A peer by name. `source` is the bundle whose deepest expert ONNX Runtime runs, or the
    checkpoint that spandrel opens; MmsrError when that is not usable."""
    if name == ONNXRUNTIME:
        assert source is not None
        return _open_onnxruntime(source, device)
    if name == SPANDREL:
        assert source is not None
        return _open_spandrel(source, scale, device)
    resize = _open_pillow(name) if name in _PILLOW else _open_opencv(name)

    def upscale(lr: Floats) -> Answer:
        return Answer(resize(lr, lr.shape[1] * scale, lr.shape[0] * scale), 0.0)

    return upscale


Resize = Callable[[Floats, int, int], Floats]
"""resize(lr, width, height)."""

_OPENCV = {"opencv bicubic": cv2.INTER_CUBIC, "opencv lanczos": cv2.INTER_LANCZOS4}
_PILLOW = {"pillow bicubic": "BICUBIC", "pillow lanczos": "LANCZOS"}


def _open_opencv(name: str) -> Resize:
    def resize(lr: Floats, width: int, height: int) -> Floats:
        return np.asarray(cv2.resize(lr, (width, height), interpolation=_OPENCV[name]), np.float32)

    return resize


def _open_pillow(name: str) -> Resize:
    from PIL import Image

    method = Image.Resampling[_PILLOW[name]]

    def resize(lr: Floats, width: int, height: int) -> Floats:
        enlarged = Image.fromarray(quantize(lr)).resize((width, height), method)
        return np.asarray(enlarged, np.float32) / np.float32(255)

    return resize


def _open_onnxruntime(source: Path, device: str) -> Upscale:
    """The deepest expert's graph on the whole image, with default session options."""
    import onnxruntime

    bundle = Bundle.open(source)
    expert = bundle.manifest.deepest
    providers: list[Any] = ["CPUExecutionProvider"]
    if (gpu := _gpu(device)) is not None:
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": gpu}))
    session = onnxruntime.InferenceSession(bundle.graph(expert.graph), providers=providers)
    given = session.get_inputs()[0].name

    def upscale(lr: Floats) -> Answer:
        tiles = np.ascontiguousarray(lr.transpose(2, 0, 1))[None]
        planes = session.run(None, {given: tiles})[0][0]
        pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
        return Answer(pixels, expert.macs * lr.shape[0] * lr.shape[1])

    return upscale


def _open_spandrel(checkpoint: Path, scale: int, device: str) -> Upscale:
    """A checkpoint's network, tile by tile, with OVERLAP pixels of context that are cut off."""
    import torch
    from spandrel import ImageModelDescriptor, ModelLoader

    gpu = _gpu(device)
    place = torch.device("cpu" if gpu is None else f"cuda:{gpu}")
    try:
        model = ModelLoader(place).load_from_file(checkpoint)
    except Exception as error:  # whatever unpickling a stranger's file comes upon
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MmsrError(f"{checkpoint}: spandrel can't open it ({reason})") from None
    if not isinstance(model, ImageModelDescriptor) or model.scale != scale:
        raise MmsrError(f"{checkpoint}: not a network that upscales by {scale}")
    model.eval()

    def upscale(lr: Floats) -> Answer:
        image = torch.from_numpy(np.ascontiguousarray(lr.transpose(2, 0, 1)))[None].to(place)
        grid = Grid(lr.shape[0], lr.shape[1], TILE)
        pixels = np.empty((lr.shape[0] * scale, lr.shape[1] * scale, 3), np.float32)
        with torch.inference_mode():
            for row, column in product(range(grid.rows), range(grid.columns)):
                box = grid.box(slice(row, row + 1), slice(column, column + 1))
                window = box.grown(OVERLAP, grid.height, grid.width)
                tile = image[:, :, window.top : window.bottom, window.left : window.right]
                answer = model(tile)[0].permute(1, 2, 0).cpu().numpy()
                inner, origin = box.scaled(scale), window.scaled(scale)
                pixels[inner.top : inner.bottom, inner.left : inner.right] = answer[
                    inner.top - origin.top : inner.bottom - origin.top,
                    inner.left - origin.left : inner.right - origin.left,
                ]
        return Answer(pixels, 0.0)

    return upscale


def _gpu(device: str) -> str | None:
    """The number of the GPU that a device of ours is, None for the CPU."""
    name, _, number = device.partition(":")
    return (number or "0") if name in ("cuda", "tensorrt") else None
