"""`mmsr export`, from a run that `mmsr train` made."""

from importlib.metadata import EntryPoint

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine

RECIPE = """
name = "tiny-x2"
scale = 2
data = [{ folder = "photos" }]
split = { experts = 0.5, router = 0.25, test = 0.25 }
tiles = { cell = 16, halo = 4, seam = 1 }
training = { steps = 2, batch = 1, patch = 8 }
router = { classifier = { name = "forest-gain", options = { trees = 3 } } }

[routes]
SIMPLE = { experts = ["floor", "small"], fuser = "edge" }
COMPLEX = "small"

[[experts]]
name = "floor"
backbone = "bicubic"

[[experts]]
name = "small"
backbone = "compact"
depth = 1
options = { channels = 4 }
"""


@pytest.fixture(scope="module")
def mmsr():
    """mmsr(*args): the command in this process, with the built-in plugins, installed or not."""
    names = ("compact", "forest", "fusion", "texture")
    points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Catalog, "load", classmethod(lambda cls, load=Catalog.load: load(points)))
        yield lambda *args: CliRunner().invoke(main, [str(arg) for arg in args], prog_name="mmsr")


@pytest.fixture(scope="module")
def run(mmsr, tmp_path_factory):
    """A finished run."""
    root = tmp_path_factory.mktemp("run")
    (root / "photos").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (80, 70, 3), np.uint8)
        cv2.imwrite(str(root / "photos" / f"{index}.png"), pixels)
    (root / "tiny.toml").write_text(RECIPE)
    result = mmsr("train", root / "tiny.toml", "--out", root / "run")
    assert result.exit_code == 0, result.output
    return root / "run"


@pytest.fixture(scope="module")
def exported(mmsr, run):
    """The command's answer, and the bundle that it wrote."""
    out = run.parent / "bundle"
    result = mmsr("export", run, "--onnx", "--out", out)
    assert result.exit_code == 0, result.output
    return result, out


def refused(result):
    """The one line of a command that failed as it should."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_the_table_names_every_graph_and_the_last_line_the_bundle(exported):
    result, out = exported
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["GRAPH", "KIB", "PARITY", "MACS/PIXEL", "COST"]
    graphs = {"experts/floor.onnx", "experts/small.onnx", "fusers/edge.onnx", "router.onnx"}
    assert {line.split()[0] for line in lines[1:-1]} == graphs
    assert f"{out}: tiny-x2 1.0.0, " in lines[-1]


def test_an_exported_run_upscales(exported):
    engine = Engine.open(Bundle.open(exported[1]).directory, "cpu")
    image = np.random.default_rng(0).random((37, 50, 3), np.float32)
    assert engine.upscale(image).pixels.shape == (74, 100, 3)


@pytest.mark.parametrize("form", [(), ("--tiles",), ("--required-effort",)])
def test_a_run_becomes_one_graph(mmsr, run, tmp_path, form):
    out = tmp_path / "system.onnx"
    result = mmsr("export", run, "--onnx", "--single-file", *form, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: tiny-x2 1.0.0 as one graph of ")
    assert [path.name for path in tmp_path.iterdir()] == ["system.onnx"]


def test_name_and_version_replace_those_of_the_recipe(mmsr, run, tmp_path):
    options = ("--name", "mine", "--version", "2.1.0")
    result = mmsr("export", run, "--onnx", "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    manifest = Bundle.open(tmp_path / "out").manifest
    assert (manifest.name, manifest.version) == ("mine", "2.1.0")


def test_a_directory_that_is_no_run_is_one_line(mmsr, tmp_path):
    line = refused(mmsr("export", tmp_path, "--onnx", "--out", tmp_path / "out"))
    assert "not a run" in line
    assert not (tmp_path / "out").exists()


def test_a_version_that_is_none_is_one_line(mmsr, run, tmp_path):
    options = ("--version", "two")
    line = refused(mmsr("export", run, "--onnx", "--out", tmp_path / "out", *options))
    assert '"two" is no version for a bundle' in line
    assert not (tmp_path / "out").exists()


def test_an_existing_bundle_is_left_alone(mmsr, run, exported):
    line = refused(mmsr("export", run, "--onnx", "--out", exported[1]))
    assert "exists already" in line


def test_the_format_has_to_be_said(mmsr, run, tmp_path):
    result = mmsr("export", run, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--onnx" in result.stderr
