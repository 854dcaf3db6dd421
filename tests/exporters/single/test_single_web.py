"""The one file runs from JavaScript, in WebAssembly, and answers what it answers here."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from systems import brightening, fused, grown

from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single import export_single
from mmsr_onnx.single.check import open_graph

SCRIPT = Path(__file__).parents[2] / "js" / "run.mjs"
PACKAGE = "onnxruntime-web@1.30.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ONNX Runtime for the web installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("js")
    shutil.copy(SCRIPT, folder)
    line = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    try:
        subprocess.run(line, cwd=folder, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm can't install {PACKAGE} here")
    return folder


def in_javascript(
    folder: Path, model: Path, name: str, array: np.ndarray[Any, Any], effort: float | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Upscaled pixels and routes, flat."""
    given = folder / f"{model.stem}.raw"
    array.tofile(given)
    shape = ",".join(map(str, array.shape))
    line = ["node", "run.mjs", str(model), name, shape, str(given)]
    line += [] if effort is None else [str(effort)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return (
        np.fromfile(f"{given}.upscaled", np.float32),
        np.fromfile(f"{given}.routes", np.int64),
    )


@pytest.mark.parametrize("make", [grown, fused])
def test_javascript_and_python_agree_on_an_image(
    folder: Path, tmp_path: Path, make: Callable[[Path], Bundle]
) -> None:
    model = tmp_path / f"{make.__name__}.onnx"
    export_single(make(tmp_path / "bundle"), model, False, False, lambda step: None)
    image = brightening(33, 141)[None]
    upscaled, routes = in_javascript(folder, model, "image", image, None)
    expected, wanted = open_graph(model.read_bytes())(image, 0.5)
    assert set(wanted.ravel()) == {0, 1}
    np.testing.assert_array_equal(routes, wanted.ravel())
    np.testing.assert_allclose(upscaled, expected.ravel(), atol=1e-4)


@pytest.mark.parametrize("count", [0, 5])
def test_javascript_gives_the_effort_that_a_graph_requires(
    folder: Path, tmp_path: Path, count: int
) -> None:
    model = tmp_path / f"tiles{count}.onnx"
    export_single(grown(tmp_path / "bundle"), model, True, True, lambda step: None)
    row = brightening(12, 60).reshape(3, 12, 5, 12).transpose(2, 0, 1, 3)
    tiles = np.ascontiguousarray(row[:count])
    upscaled, routes = in_javascript(folder, model, "tiles", tiles, 0.25)
    expected, wanted = open_graph(model.read_bytes())(tiles, 0.25)
    np.testing.assert_array_equal(routes, wanted)
    np.testing.assert_allclose(upscaled, expected.ravel(), atol=1e-4)
