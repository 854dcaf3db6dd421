import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsr_core.runtime.bundle import CodecBundle

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = """
kind = "codec"
name = "tiny-codec"
held = 1
data = [{ folder = "photos", licence = "CC0" }]
codec = { name = "resgdn", options = { codes = 4, widths = [4, 4, 4, 4], bits = [2] } }
training = { steps = 2, batch = 1, patch = 176, save_every = 1 }
"""
PROGRAM = """
from importlib.metadata import EntryPoint
from mmsr_core.cli import main
from mmsr_core.plugin import catalog
catalog.entry_points = lambda group: [EntryPoint("resgdn", "mmsr_resgdn", "mmsr")]
main(prog_name="mmsr")
"""


def mmsr(*args):
    """`mmsr` in a process of its own, which imports what this one does."""
    path = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=path, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with photographs, a recipe, and the run and the bundle that it made."""
    folder = tmp_path_factory.mktemp("codec")
    (folder / "photos").mkdir()
    for index in range(2):
        coarse = np.random.default_rng(index).integers(0, 255, (12, 12, 3), np.uint8)
        cv2.imwrite(str(folder / f"photos/{index}.png"), cv2.resize(coarse, (184, 180)))
    (folder / "tiny.toml").write_text(RECIPE)
    done = mmsr("train", folder / "tiny.toml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "mmsr export" in done.stdout
    done = mmsr("export", folder / "run", "--onnx", "--out", folder / "bundle", "--name", "mine")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_codec_is_trained_exported_and_shown(trained):
    manifest = CodecBundle.open(trained / "bundle").manifest
    assert (manifest.name, manifest.channels) == ("mine", 4)
    assert manifest.encoder.radius is not None
    shown = mmsr("models", "show", trained / "bundle")
    assert "MS-SSIM" in shown.stdout
    assert "4 channels" in shown.stdout


def test_a_command_for_upscalers_says_what_a_codec_is_for(trained):
    photo = trained / "photos/0.png"
    done = mmsr("upscale", photo, "-o", trained / "large.png", "--model", trained / "bundle")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("name a model that upscales")


def test_options_for_upscalers_are_refused(trained):
    done = mmsr("export", trained / "run", "--onnx", "--out", trained / "no", "--single-file")
    assert done.returncode == 2
    assert "a codec's" in done.stderr


@pytest.mark.parametrize("recipe", ["resgdn.toml", "papers/resgdn-8ch.toml"])
def test_a_shipped_recipe_is_sound_but_for_its_photographs(tmp_path, recipe):
    done = mmsr("train", RECIPES / recipe, "--images", tmp_path, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "data folder cid22" in done.stderr


@pytest.mark.parametrize(("recipe", "start"), [("fine", "resgdn"), ("finer", "resgdn-fine")])
def test_a_recipe_that_starts_from_another_run_says_that_it_has_to_be_trained_first(
    tmp_path, recipe, start
):
    args = ("--images", tmp_path, "--out", tmp_path / "run")
    done = mmsr("train", RECIPES / f"resgdn-{recipe}.toml", *args)
    assert done.returncode == 1
    assert f"start: cannot read runs/{start}/weights.pt" in done.stderr
    assert "train that run first" in done.stderr
