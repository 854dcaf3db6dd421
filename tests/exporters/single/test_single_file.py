"""A bundle as one file: checked, described, the same at every call, made without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import graph, nearest, write_upscaler
from onnx import helper
from systems import brightening, fused, plain

from mmsr_core.errors import BundleError, ExportError
from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single import check, export_single

BLOCKED = ("torch", "sklearn", "skl2onnx", "scipy", "lightning_fabric")
PROGRAM = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
from mmsr_core.cli import main
main(prog_name="mmsr")
"""


def write(bundle: Bundle, out: Path, tiles: bool = False) -> float:
    return export_single(bundle, out, tiles, False, lambda step: None)


def export(*words: object) -> subprocess.CompletedProcess[str]:
    """`mmsr export` in a process of its own that has no torch."""
    line = [sys.executable, "-c", PROGRAM, "export", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tiles", [False, True])
def test_the_file_is_a_sound_graph_that_tells_what_it_is(tmp_path: Path, tiles: bool) -> None:
    difference = write(fused(tmp_path / "bundle"), tmp_path / "system.onnx", tiles)
    assert difference <= 1e-5
    model = onnx.load(tmp_path / "system.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {
        "name": "tiny-x2",
        "version": "1.0.0",
        "kind": "tiles" if tiles else "image",
        "scale": "2",
        "cell": "8",
        "halo": "2",
        "effort": "0.5",
        "classes": json.dumps(["SIMPLE", "COMPLEX"]),
    }


@pytest.mark.parametrize("tiles", [False, True])
def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path, tiles: bool) -> None:
    bundle = fused(tmp_path / "bundle")
    for name in ("a.onnx", "b.onnx"):
        write(bundle, tmp_path / name, tiles)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    bundle = write_upscaler(tmp_path / "bundle")
    (tmp_path / "system.onnx").write_text("mine")
    with pytest.raises(BundleError, match="exists already"):
        write(bundle, tmp_path / "system.onnx")
    assert (tmp_path / "system.onnx").read_text() == "mine"


@pytest.mark.parametrize(("place", "what"), [(0, "differs from its parts"), (1, "other routes")])
def test_a_graph_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, what: str
) -> None:
    def spoiled(self: Any, image: Any, effort: float) -> Any:
        answer = list(honest_answer(self, image, effort))
        answer[place] = answer[place] + 1
        return tuple(answer)

    honest_answer = check.Reference.upscale_image
    monkeypatch.setattr(check.Reference, "upscale_image", spoiled)
    bundle = write_upscaler(tmp_path / "bundle")
    with pytest.raises(ExportError, match=what):
        write(bundle, tmp_path / "system.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_expert_of_strange_operators_is_named(tmp_path: Path) -> None:
    strange = onnx.load_model_from_string(nearest())
    strange.opset_import.append(helper.make_opsetid("com.example", 1))
    strange.graph.node[0].domain = "com.example"
    bundle = write_upscaler(tmp_path / "bundle", {"cheap.onnx": strange.SerializeToString()})
    with pytest.raises(ExportError, match=r'cheap\.onnx: .*"com\.example"'):
        write(bundle, tmp_path / "system.onnx")


def test_an_expert_of_a_newer_opset_is_named(tmp_path: Path) -> None:
    newer = onnx.load_model_from_string(nearest())
    newer.opset_import[0].version = 19
    bundle = write_upscaler(tmp_path / "bundle", {"cheap.onnx": newer.SerializeToString()})
    with pytest.raises(ExportError, match=r"cheap\.onnx: .*opset 19 is newer than 18"):
        write(bundle, tmp_path / "system.onnx")


def test_an_expert_in_eight_bits_merges(tmp_path: Path) -> None:
    scale = np.float32(1 / 255)
    nodes = [
        helper.make_node("QuantizeLinear", ["tiles", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Resize", ["d", "", "by"], ["upscaled"], mode="nearest"),
    ]
    weights = {"s": scale, "z": np.uint8(0), "by": np.array([1, 1, 2, 2], np.float32)}
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    eight = graph(nodes, arrays, ("tiles", 4), ("upscaled", 4))
    bundle = plain(tmp_path / "bundle", {"cheap.onnx": eight})
    write(bundle, tmp_path / "system.onnx")
    run = check.open_graph((tmp_path / "system.onnx").read_bytes())
    image = 0.1 * brightening(20, 20)
    upscaled, routes = run(image[None], 0.0)
    assert (routes == 0).all()
    expected = np.round(image * 255).repeat(2, axis=1).repeat(2, axis=2) / 255
    np.testing.assert_allclose(upscaled[0], expected, atol=1e-6)


def test_the_command_needs_no_torch(tmp_path: Path) -> None:
    bundle = write_upscaler(tmp_path / "bundle").directory
    out = tmp_path / "system.onnx"
    done = export(bundle, "--onnx", "--single-file", "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"{out}: tiny-x2 1.0.0 as one graph of images, " in done.stdout
    assert out.exists()


def test_the_command_says_what_tiles_and_effort_are_for(tmp_path: Path) -> None:
    bundle = write_upscaler(tmp_path / "bundle").directory
    done = export(bundle, "--onnx", "--tiles", "--out", tmp_path / "system.onnx")
    assert done.returncode == 2
    assert "--single-file" in done.stderr


def test_a_bundle_is_not_renamed(tmp_path: Path) -> None:
    bundle = write_upscaler(tmp_path / "bundle").directory
    out = tmp_path / "system.onnx"
    done = export(bundle, "--onnx", "--single-file", "--name", "other", "--out", out)
    assert done.returncode == 2
    assert "are for a RUN" in done.stderr
    assert not out.exists()


def test_what_is_neither_run_nor_bundle_is_one_line(tmp_path: Path) -> None:
    done = export(tmp_path, "--onnx", "--single-file", "--out", tmp_path / "system.onnx")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "not a bundle" in done.stderr
