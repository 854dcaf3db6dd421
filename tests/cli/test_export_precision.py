"""`mmsr export --int8` and `--fp16`, in a process of their own."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine

RECIPE = """
name = "tiny-x2"
scale = 2
data = [{ folder = "photos" }]
split = { experts = 0.5, router = 0.25, test = 0.25 }
tiles = { cell = 16, halo = 4, seam = 1 }
training = { steps = 2, batch = 1, patch = 8 }
routes = { FLAT = "floor", REST = "wide" }
router = { classifier = { name = "forest-gain", options = { trees = 2 } } }

[[experts]]
name = "floor"
backbone = "bicubic"

[[experts]]
name = "wide"
backbone = "compact"
depth = 1
options = { channels = 32 }
"""
# The built-in plugins by name, so that the test needs no installed distribution.
PROGRAM = """
from importlib.metadata import EntryPoint
from mmsr_core.cli import main
from mmsr_core.plugin import catalog
names = ("compact", "forest", "texture")
points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in names]
catalog.entry_points = lambda group: points
main(prog_name="mmsr")
"""


def mmsr(*args):
    command = [sys.executable, "-c", PROGRAM, *map(str, args)]
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    return subprocess.run(command, capture_output=True, text=True, env=path, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, its photographs beside it."""
    root = tmp_path_factory.mktemp("run")
    (root / "photos").mkdir()
    for index in range(4):
        coarse = np.random.default_rng(index).integers(60, 190, (9, 9, 3), np.uint8)
        pixels = cv2.resize(coarse, (96, 80), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "photos" / f"{index}.png"), pixels)
    (root / "tiny.toml").write_text(RECIPE)
    result = mmsr("train", root / "tiny.toml", "--out", root / "run")
    assert result.returncode == 0, result.stderr
    return root / "run"


@pytest.fixture(scope="module")
def exported(run):
    """The command's answer to --fp16, and the bundle that it wrote."""
    out = run.parent / "half"
    result = mmsr("export", run, "--onnx", "--out", out, "--fp16", "--images", run.parent)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines(), out


def refused(result):
    """The one line of a command that failed as it should."""
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_every_expert_is_listed_with_its_precision_and_the_reason(exported):
    lines, _ = exported
    assert "floor: fp32; no fp16: no convolution has 8 input channels or more" in lines
    assert any(line.startswith("wide: fp16; fp16 loses ") for line in lines)
    assert "dB on 1 photograph (limit 0.02)" in "\n".join(lines)


def test_it_is_said_that_fp16_is_for_gpus(exported):
    assert exported[0][-1].startswith("fp16 is for GPUs")


def test_the_table_has_the_exact_form_and_its_cost(exported):
    lines, _ = exported
    rows = {line.split()[0]: line.split() for line in lines if line.startswith("experts/")}
    assert set(rows) == {f"experts/{name}.onnx" for name in ("floor", "wide", "fp16/wide")}
    assert all(float(row[4]) > 0 for row in rows.values())


def test_the_bundle_upscales(exported):
    bundle = Bundle.open(exported[1])
    assert bundle.manifest.expert("wide").exact == "experts/wide.onnx"
    image = np.random.default_rng(0).random((37, 50, 3), np.float32)
    assert Engine(bundle, "cpu").upscale(image).pixels.shape == (74, 100, 3)


def test_8_bits_are_judged_and_the_figures_kept(run, tmp_path):
    out = tmp_path / "out"
    result = mmsr("export", run, "--onnx", "--out", out, "--int8", "--images", run.parent)
    assert result.returncode == 0, result.stderr
    wide = Bundle.open(out).manifest.expert("wide")
    assert f"wide: {wide.precision}; {wide.reason}" in result.stdout.splitlines()
    assert (wide.precision == "int8") == ("takes" in wide.reason)
    assert (wide.exact is None) == (wide.precision == "fp32")


@pytest.mark.parametrize("option", ["--int8", "--fp16"])
def test_a_precision_without_photographs_is_one_line(run, tmp_path, option):
    line = refused(mmsr("export", run, "--onnx", "--out", tmp_path / "out", option))
    assert f"{option} needs photographs" in line
    assert "--images FOLDER" in line
    assert not list(tmp_path.iterdir())


def test_two_precisions_are_one_line(run, tmp_path):
    options = ("--int8", "--fp16", "--images", run.parent)
    line = refused(mmsr("export", run, "--onnx", "--out", tmp_path / "out", *options))
    assert "an expert has one precision" in line


def test_photographs_without_a_precision_are_one_line(run, tmp_path):
    options = ("--images", run.parent)
    line = refused(mmsr("export", run, "--onnx", "--out", tmp_path / "out", *options))
    assert "--images is for --int8 and --fp16" in line


def test_photographs_that_are_not_there_are_one_line(run, tmp_path):
    options = ("--int8", "--images", tmp_path)
    line = refused(mmsr("export", run, "--onnx", "--out", tmp_path / "out", *options))
    assert "data folder photos" in line
    assert not list(tmp_path.iterdir())
