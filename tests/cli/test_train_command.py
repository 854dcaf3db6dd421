import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Catalog

PLUGINS = ("compact", "forest", "texture")
RECIPE = """
name = "tiny-x2"
scale = 2
data = [{ folder = "photos" }]
split = { experts = 0.5, router = 0.25, test = 0.25 }
training = { steps = 2, batch = 1, patch = 8 }
routes = { FLAT = "floor", REST = "small" }
router = { classifier = { name = "forest", options = { trees = 2 } } }

[[experts]]
name = "floor"
backbone = "bicubic"

[[experts]]
name = "small"
backbone = "compact"
depth = 1
options = { channels = 4 }
"""
# The built-in plugins by name, so that the test needs no installed distribution.
PROGRAM = f"""
import sys
from importlib.metadata import EntryPoint
from mmsr_core.cli import main
from mmsr_core.plugin import catalog
points = [EntryPoint(name, f"mmsr_{{name}}", "mmsr") for name in {PLUGINS!r}]
catalog.entry_points = lambda group: points
BEFORE
main(prog_name="mmsr")
"""


def mmsr(*args, before=""):
    """`mmsr` in a process of its own; `before` is run first."""
    program = PROGRAM.replace("BEFORE", before)
    command = [sys.executable, "-c", program, *map(str, args)]
    # The child imports what this process does, installed or not.
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    return subprocess.run(command, capture_output=True, text=True, env=path, check=False)


@pytest.fixture
def recipe(tmp_path):
    """A tiny recipe beside its photographs."""
    (tmp_path / "photos").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), pixels)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def run(monkeypatch):
    """run(*args): `mmsr train` in this process, for what fails before torch is needed."""
    from importlib.metadata import EntryPoint

    points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in PLUGINS]
    monkeypatch.setattr(Catalog, "load", classmethod(lambda cls, load=Catalog.load: load(points)))
    return lambda *args: CliRunner().invoke(main, ["train", *map(str, args)], prog_name="mmsr")


def refused(result):
    """The one line of a command that failed as it should."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_recipe_trains_and_resumes_and_a_busy_folder_is_refused(recipe, tmp_path):
    out = tmp_path / "run"
    first = mmsr("train", recipe, "--out", out)
    assert (first.returncode, first.stdout.count(" dB on the test split")) == (0, 2), first.stderr
    assert f"next: mmsr export {out} --onnx" in first.stdout
    assert list(json.loads((out / "scores.json").read_text())["psnr_y"]) == ["FLAT", "REST"]

    busy = mmsr("train", recipe, "--out", out)
    assert busy.returncode == 1
    assert busy.stderr == (
        f"mmsr: error: {out}: holds a run already; add --resume, or choose another --out\n"
    )

    again = mmsr("train", recipe, "--out", out, "--resume")
    assert again.returncode == 0
    assert "small:" not in again.stderr
    assert again.stdout == first.stdout


def test_without_torch_the_extra_is_named(recipe, tmp_path):
    result = mmsr("train", recipe, "--out", tmp_path / "run", before="sys.modules['torch'] = None")
    assert result.returncode == 1
    assert result.stderr == (
        "mmsr: error: mmsr train needs torch, which is not installed; pip install 'mmsr[train]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_without_ray_the_extra_is_named(recipe, tmp_path):
    args = "train", recipe, "--out", tmp_path / "run", "--ray"
    result = mmsr(*args, before="sys.modules['ray'] = None")
    assert result.returncode == 1
    assert result.stderr == (
        "mmsr: error: mmsr train --ray needs ray, which is not installed; pip install 'mmsr[ray]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_no_cluster_at_the_address_is_one_line_and_makes_no_run(run, recipe, tmp_path):
    line = refused(run(recipe, "--out", tmp_path / "run", "--ray", "127.0.0.1:1"))
    assert "no Ray cluster answers at 127.0.0.1:1 (" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("scale = 2", "scael = 2", 'no key named "scael"'),
        ('backbone = "compact"', 'backbone = "compakt"', 'did you mean "compact"?'),
        ("channels = 4", "chanels = 4", 'did you mean "channels"?'),
        ("depth = 1", "depth = 99", "compact has no depth 99"),
        ("scale = 2", "scale = 7", "bicubic has no scale 7"),
        ('REST = "small"', 'REST = "smal"', 'no expert named "smal"'),
        ('name = "tiny-x2"', "name = tiny", "not TOML"),
        ('name = "forest"', 'name = "wood"', 'no classifier named "wood"'),
    ],
)
def test_a_wrong_recipe_is_one_line_and_makes_no_run(run, recipe, tmp_path, right, wrong, message):
    recipe.write_text(RECIPE.replace(right, wrong))
    assert message in refused(run(recipe, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_missing_recipe_is_one_line(run, tmp_path):
    line = refused(run(tmp_path / "no.toml", "--out", tmp_path / "run"))
    assert "no.toml: cannot read the recipe" in line


def test_missing_photographs_are_one_line_and_make_no_run(run, recipe, tmp_path):
    nowhere = Path("nowhere")
    line = refused(run(recipe, "--images", nowhere, "--out", tmp_path / "run"))
    assert "data folder photos: nowhere/photos" in line
    assert not (tmp_path / "run").exists()


def test_an_unwritable_place_for_the_run_is_one_line(run, recipe):
    assert "cannot write there" in refused(run(recipe, "--out", recipe / "run"))


def test_out_is_required(run, recipe):
    result = run(recipe)
    assert result.exit_code == 2
    assert "--out" in result.stderr
