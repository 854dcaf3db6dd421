import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime.bundle import Bundle

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests/exporters/given"), str(ROOT / "tests/plugins/spandrel")]
from plain import upscaler  # noqa: E402

PLUGINS = ("compact", "forest", "spandrel", "texture")
# The built-in plugins by name, so that the test needs no installed distribution.
PROGRAM = f"""
from importlib.metadata import EntryPoint
from mmsr_core.cli import main
from mmsr_core.plugin import catalog
points = [EntryPoint(name, f"mmsr_{{name}}", "mmsr") for name in {PLUGINS!r}]
catalog.entry_points = lambda group: points
main(prog_name="mmsr")
"""


def mmsr(*args):
    """`mmsr` in a process of its own, which imports what this one does."""
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", PROGRAM, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=path, check=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Made photographs: a smooth half, a textured half."""
    folder = tmp_path_factory.mktemp("wrap") / "photos"
    folder.mkdir()
    _, x = np.mgrid[:96, :128]
    for number in range(3):
        rng = np.random.default_rng(number)
        picture = 110 + 60 * np.sin(x / (9 + number)) + (x > 64) * rng.normal(0, 30, x.shape)
        cv2.imwrite(str(folder / f"{number}.png"), picture.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def run(monkeypatch):
    """Run `mmsr wrap`, or another command, in this process."""
    points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in PLUGINS]
    catalog = Catalog.load(points)
    monkeypatch.setattr(Catalog, "load", lambda: catalog)
    return lambda *args, name="wrap": CliRunner().invoke(main, [name, *map(str, args)])


def refused(result):
    """The one line of a command that failed as it should."""
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("mmsr: error: ")]
    assert lines == result.stderr.splitlines()[-1:]
    return lines[0]


def test_plain_graphs_become_a_bundle_that_upscales(photos, tmp_path):
    shallow = upscaler(tmp_path / "Shallow Net.onnx", layers=1, white=255.0)
    deep = upscaler(tmp_path / "deep.onnx", layers=4)
    out = tmp_path / "run"
    wrapped = mmsr("wrap", deep, shallow, "--images", photos, "--out", out, "--name", "mine")
    assert wrapped.returncode == 0, wrapped.stderr
    manifest = Bundle.open(out / "bundle").manifest
    assert (manifest.name, manifest.scale) == ("mine", 2)
    assert [expert.name for expert in manifest.experts] == ["bicubic", "shallow-net", "deep"]
    assert manifest.classes == ("BICUBIC", "SHALLOW_NET", "DEEP")
    assert [expert.radius for expert in manifest.experts] == [2, 1, 4]
    assert f"--model {out / 'bundle'}" in wrapped.stdout
    assert "of the dearest expert's time" in wrapped.stdout

    large = tmp_path / "large.png"
    used = mmsr("upscale", photos / "0.png", "-o", large, "--model", out / "bundle")
    assert used.returncode == 0, used.stderr
    assert cv2.imread(str(large)).shape == (192, 256, 3)


@pytest.mark.skipif(not find_spec("spandrel"), reason="spandrel is not installed")
def test_checkpoints_and_a_graph_become_one_bundle_with_8_bit_rungs(photos, tmp_path, run):
    from checkpoints import write_compact, write_span

    files = [
        write_span(tmp_path / "span.pth", scale=2),
        write_compact(tmp_path / "small.safetensors", scale=2),
        upscaler(tmp_path / "plain.onnx"),
    ]
    out = tmp_path / "run"
    result = run(*files, "--images", photos, "--out", out)
    assert result.exit_code == 0, result.stderr
    manifest = Bundle.open(out / "bundle").manifest
    names = {expert.name for expert in manifest.experts}
    assert names >= {"bicubic", "plain", "small", "small-int8", "span"}
    assert manifest.expert("span").backbone == "SPAN"
    assert manifest.expert("small-int8").precision == "int8"
    assert "plain.onnx: no 8-bit form" in result.stderr


def test_the_plot_shows_what_the_bundle_saves(photos, tmp_path, run):
    plot = tmp_path / "bench.png"
    path = upscaler(tmp_path / "a.onnx")
    result = run(path, "--images", photos, "--out", tmp_path / "run", "--plot", plot)
    assert result.exit_code == 0, result.stderr
    assert cv2.imread(str(plot)) is not None


def test_experts_of_different_scales_are_refused(photos, tmp_path, run):
    two, three = (upscaler(tmp_path / f"x{s}.onnx", scale=s) for s in (2, 3))
    line = refused(run(two, three, "--images", photos, "--out", tmp_path / "run"))
    assert "and these don't: x2.onnx by 2, x3.onnx by 3" in line
    assert not (tmp_path / "run").exists()


def test_a_file_of_an_unknown_kind_names_the_known_ones(photos, tmp_path, run):
    line = refused(run(tmp_path / "net.tflite", "--images", photos, "--out", tmp_path / "run"))
    assert "no plugin opens such files; there are .ckpt .onnx .pt .pth .safetensors" in line


@pytest.mark.parametrize("name", ["broken.onnx", "broken.pth"])
def test_a_corrupt_file_is_one_line(photos, tmp_path, run, name):
    if name.endswith(".pth") and not find_spec("spandrel"):
        pytest.skip("spandrel is not installed")
    (tmp_path / name).write_bytes(b"\x80\x02damaged")
    line = refused(run(tmp_path / name, "--images", photos, "--out", tmp_path / "run"))
    assert f"{name}: not a" in line


def test_missing_photographs_are_one_line_and_make_no_run(tmp_path, run):
    path = upscaler(tmp_path / "a.onnx")
    line = refused(run(path, "--images", tmp_path / "none", "--out", tmp_path / "run"))
    assert "none" in line
    assert not (tmp_path / "run").exists()


def test_one_photograph_is_too_few(photos, tmp_path, run):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/0.png").write_bytes((photos / "0.png").read_bytes())
    path = upscaler(tmp_path / "a.onnx")
    line = refused(run(path, "--images", tmp_path / "one", "--out", tmp_path / "run"))
    assert "1 photographs are too few" in line


def test_a_busy_folder_is_refused_before_any_work(photos, tmp_path, run):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine.txt").write_text("mine")
    line = refused(
        run(tmp_path / "not-looked-at.onnx", "--images", photos, "--out", tmp_path / "run")
    )
    assert "exists already" in line
    assert [one.name for one in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_network_that_pools_is_wrapped_by_force_alone_and_exported_again(photos, tmp_path, run):
    path = upscaler(tmp_path / "pools.onnx", pools=True)
    out = tmp_path / "run"
    args = path, "--images", photos, "--out", out
    assert "pools over the whole picture" in refused(run(*args))
    assert run(*args, "--force").exit_code == 0
    facts = json.loads((out / "bundle/manifest.json").read_text())
    assert facts["tiles"]["halo"] == 64

    again = run(out, "--onnx", "--out", tmp_path / "again", "--version", "1.0.1", name="export")
    assert again.exit_code == 0, again.stderr
    assert Bundle.open(tmp_path / "again").manifest.version == "1.0.1"
