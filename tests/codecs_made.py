"""A small codec for tests: graphs made by hand, tables learned from their code maps."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from graphs import graph
from onnx import helper

from mmsr_core.runtime.bundle import CodecBundle, digest, write_files
from mmsr_core.runtime.codec.learn import learn_tables, write_tables
from mmsr_core.runtime.codec.manifest import CodecManifest
from mmsr_core.runtime.codec.transform import Codec
from mmsr_core.runtime.device import Device
from mmsr_core.runtime.session import Session

CHANNELS = 8
CPU = Device("cpu", "asked for")


def _cosines() -> np.ndarray:
    """Eight functions on 8×8 pixels of colour, orthonormal: flat ones first."""
    n = np.arange(8)
    waves = np.array([np.cos(np.pi * (2 * n + 1) * u / 16) for u in range(8)])
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    kept = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 2, 0), (2, 0, 0)]
    made = [np.einsum("c,i,j->cij", colours[c], waves[u], waves[v]) for u, v, c in kept]
    return np.stack(made).astype(np.float32)


def encoder_graph() -> bytes:
    """A blur of radius 1, then one code of each function in every 8×8 pixels; 0 is mid grey."""
    blur = np.zeros((3, 3, 3, 3), np.float32)
    for colour in range(3):
        blur[colour, colour] = [[0, 0.05, 0], [0.05, 0.8, 0.05], [0, 0.05, 0]]
    weights = {"blur": blur, "w": _cosines(), "half": np.array([0.5], np.float32)}
    nodes = [
        helper.make_node("Conv", ["images", "blur"], ["soft"], pads=[1] * 4),
        helper.make_node("Sub", ["soft", "half"], ["centred"]),
        helper.make_node("Conv", ["centred", "w"], ["codes"], strides=[8, 8]),
    ]
    return graph(nodes, weights, ("images", 4), ("codes", 4))


def decoder_graph() -> bytes:
    """The inverse but for the blur, and a further one over cells: radius 1 cell."""
    smooth = np.zeros((CHANNELS, CHANNELS, 3, 3), np.float32)
    for channel in range(CHANNELS):
        smooth[channel, channel] = [[0, 0.01, 0], [0.01, 0.96, 0.01], [0, 0.01, 0]]
    weights = {"smooth": smooth, "w": _cosines(), "half": np.array([0.5], np.float32)}
    weights |= {"low": np.array(0, np.float32), "high": np.array(1, np.float32)}
    nodes = [
        helper.make_node("Conv", ["codes", "smooth"], ["near"], pads=[1] * 4),
        helper.make_node("ConvTranspose", ["near", "w"], ["centred"], strides=[8, 8]),
        helper.make_node("Add", ["centred", "half"], ["free"]),
        helper.make_node("Clip", ["free", "low", "high"], ["images"]),
    ]
    return graph(nodes, weights, ("codes", 4), ("images", 4))


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something like one: float32 (h,w,3) in [0,1], smooth places and edges."""
    rng = np.random.default_rng(seed)
    made = np.zeros((height, width, 3), np.float32)
    for size in (2, 5, 16, 64):
        coarse = rng.normal(0, size**-0.5, (min(size, height), min(size, width), 3))
        made += cv2.resize(coarse.astype(np.float32), (width, height)).reshape(made.shape)
    return np.clip(made * 0.5 + 0.5, 0, 1)


def code_map(image: np.ndarray) -> np.ndarray:
    """What the encoder makes of an image whose sides are multiples of 8."""
    session = Session(encoder_graph(), CPU, "encoder")
    tile = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    rows, columns = (side // 8 for side in image.shape[:2])
    return session.run(tile, "codes", (1, CHANNELS, rows, columns))[0]


@cache
def tables() -> bytes:
    """Tables learned from the code maps of some photographs."""
    return write_tables(learn_tables(code_map(photograph(192, 192, seed)) for seed in range(12)))


def write_codec(directory: Path, files: Mapping[str, bytes] = {}, **changes: Any) -> CodecBundle:
    """The codec's bundle on disk; `files` replaces files, `changes` facts of its manifest."""
    whole = {
        "encoder.onnx": encoder_graph(),
        "decoder.onnx": decoder_graph(),
        "tables.npz": tables(),
        **files,
    }
    facts = {
        "kind": "codec",
        "name": "tiny",
        "version": "1.0.0",
        "codec": "test",
        "channels": CHANNELS,
        "encoder": {"graph": "encoder.onnx", "radius": 1},
        "decoder": {"graph": "decoder.onnx", "radius": 1},
        "tables": "tables.npz",
        "files": digest(whole),
        "made": {"by": "a test"},
    }
    write_files(directory, CodecManifest.model_validate(facts | changes), whole)
    return CodecBundle.open(directory)


def open_codec(directory: Path, threads: int = 1, **changes: Any) -> Codec:
    """The codec, opened on the CPU."""
    return Codec(write_codec(directory, **changes), CPU, threads)
