import json
from importlib.metadata import EntryPoint

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
tiles = { cell = 16, halo = 2 }
training = { steps = 2, batch = 1, patch = 8 }
routes = { FLAT = "floor", REST = "small" }
router = { folds = 2, classifier = { name = "forest", options = { trees = 2 } } }

[[experts]]
name = "floor"
backbone = "bicubic"

[[experts]]
name = "small"
backbone = "compact"
depth = 1
options = { channels = 4 }
"""
QUICK = ("--cells", "16", "--trees", "2", "--depths", "3")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "photos").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 56, 3), np.uint8)
        cv2.imwrite(str(folder / "photos" / f"{index}.png"), pixels)
    (folder / "tiny.toml").write_text(RECIPE)
    return folder


@pytest.fixture
def mmsr(monkeypatch):
    """mmsr(*args): the command in this process, with the built-in plugins."""
    points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in PLUGINS]
    monkeypatch.setattr(Catalog, "load", classmethod(lambda cls, load=Catalog.load: load(points)))
    return lambda *args: CliRunner().invoke(main, [*map(str, args)], prog_name="mmsr")


@pytest.fixture
def run(mmsr, places):
    """A finished run."""
    if not (places / "run" / "router.npz").exists():
        result = mmsr("train", places / "tiny.toml", "--out", places / "run")
        assert result.exit_code == 0, result.stderr
    return places / "run"


def refused(result, message):
    lines = result.stderr.splitlines()
    return result.exit_code == 1 and lines[-1].startswith("mmsr: error: ") and message in lines[-1]


def test_the_table_names_every_router_and_where_the_figures_are(mmsr, run, places):
    result = mmsr("study", run, "--images", places, "--on", places / "photos", *QUICK)
    assert result.exit_code == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    for name in ("ROUTER", "PHOTOS"):
        assert f"{name} COST" in head
    found = json.loads((run / "study.json").read_text())
    names = [row["router"] for row in found["rows"]]
    assert len(lines) == len(names) + 2
    assert all(line.startswith(name) for line, name in zip(lines, names, strict=False))
    assert lines[-1] == f"{run / 'study.json'}: written"


def test_json_is_what_the_run_keeps(mmsr, run, places):
    result = mmsr("study", run, "--images", places, "--json", *QUICK)
    assert json.loads(result.stdout) == json.loads((run / "study.json").read_text())


def test_costs_of_a_bundle_with_other_experts_are_refused(mmsr, run, places, upscaler):
    result = mmsr("study", run, "--images", places, "--costs", upscaler, *QUICK)
    assert refused(result, "the costs lack the expert floor; they are of cheap, dear")


def test_an_unfinished_run_is_refused(mmsr, run, places):
    weights = run / "experts" / "small" / "weights.pt"
    aside = weights.rename(weights.with_suffix(".aside"))
    try:
        result = mmsr("study", run, "--images", places, *QUICK)
        assert refused(result, "expert small is not trained yet; finish it with mmsr train")
    finally:
        aside.rename(weights)


def test_what_is_no_run_is_refused(mmsr, places):
    result = mmsr("study", places / "photos", "--images", places)
    assert refused(result, "photos: not a run, it has no recipe.json")


def test_a_folder_without_images_is_refused(mmsr, run, places, tmp_path):
    result = mmsr("study", run, "--images", places, "--on", tmp_path / "gone", *QUICK)
    assert refused(result, "gone: no such file or folder")


@pytest.mark.parametrize("wrong", ["16,", "0", "many", "-8"])
def test_a_list_that_holds_no_whole_number_is_a_usage_error(mmsr, places, wrong):
    result = mmsr("study", places, "--images", places, "--cells", wrong)
    assert result.exit_code == 2
    assert f"{wrong} is no list of whole numbers above 0" in result.stderr
