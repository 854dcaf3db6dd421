from importlib.metadata import EntryPoint

import cv2
import numpy as np
import pytest

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Photo, find_photos, load_pair
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run

RECIPE = {
    "name": "mine-x2",
    "scale": 2,
    "data": [{"folder": ".", "crop": 20}],
    "split": {"experts": 0, "router": 0.5, "test": 0.5},
    "experts": [{"name": "theirs", "wraps": "theirs.onnx"}],
    "routes": {"ALL": "theirs"},
}


def test_a_crop_is_the_middle_of_a_photograph(tmp_path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:40] = 255
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    pair = load_pair(Photo(tmp_path / "a.png", 1, 0, crop=20), 2)
    assert pair.hr.shape == (20, 20, 3)
    assert pair.hr.min() == 255


def test_a_crop_leaves_a_smaller_photograph_as_it_is(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((10, 60, 3), np.uint8))
    assert load_pair(Photo(tmp_path / "a.png", 1, 0, crop=20), 2).hr.shape == (10, 20, 3)


def test_where_nothing_learns_the_experts_may_have_no_photographs(tmp_path):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((10, 10, 3), np.uint8))
    recipe = parse(RECIPE, "mine.toml")
    found = find_photos(recipe, tmp_path)
    assert {name: len(photos) for name, photos in found.items()} == {
        "experts": 0,
        "router": 1,
        "test": 1,
    }


def test_a_backbone_that_learns_needs_photographs():
    mine = {"name": "mine", "backbone": "compact"}
    points = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in ("compact", "forest", "texture")]
    recipe = parse(RECIPE | {"experts": [mine], "routes": {"ALL": "mine"}}, "mine.toml")
    with pytest.raises(RecipeError, match=r"split.experts is 0, and mine has to learn"):
        recipe.check(Catalog.load(points))


def test_a_wrapped_expert_has_nothing_else_of_its_own():
    theirs = {"name": "theirs", "wraps": "theirs.onnx", "depth": 3}
    with pytest.raises(RecipeError, match="it has nothing else of its own"):
        parse(RECIPE | {"experts": [theirs]}, "mine.toml")


def test_a_wrapped_expert_that_is_not_in_the_run_names_the_command(tmp_path):
    recipe = parse(RECIPE, "mine.toml")
    with pytest.raises(RecipeError, match="mmsr wrap makes such runs"):
        Run(tmp_path, recipe).given(recipe.wrapped[0])
