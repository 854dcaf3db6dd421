import json

import numpy as np
import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.components import RouterData
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run, write_json
from mmsr_core.train.stages import make_draft


@pytest.fixture
def run(recipe, tmp_path):
    return Run.create(tmp_path / "run", recipe, resume=False)


@pytest.fixture
def router_data():
    return RouterData(
        features=np.ones((2, 1), np.float32),
        names=("mean",),
        errors=np.ones((2, 3)),
        labels=np.zeros(2, np.int64),
        costs=np.ones(3),
        images=np.array([0, 1]),
        shapes=np.full((2, 2), 9),
        photos=np.array([3, 5]),
        classes=("SIMPLE", "MODERATE", "COMPLEX"),
    )


def finish_experts(run, catalog):
    for expert in run.recipe.experts[1:]:
        run.save_weights(expert, run.build(expert, catalog))


def test_a_run_is_opened_with_the_recipe_it_was_made_from(run):
    assert Run.open(run.directory) == run


def test_a_run_in_use_asks_for_resume(run, recipe):
    with pytest.raises(RecipeError, match="holds a run already; add --resume"):
        Run.create(run.directory, recipe, resume=False)


def test_a_folder_with_other_things_in_it_is_left_alone(recipe, tmp_path):
    (tmp_path / "letters.txt").touch()
    with pytest.raises(RecipeError, match="not empty and not a run"):
        Run.create(tmp_path, recipe, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_file_in_the_runs_place_is_one_line(recipe, tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(RecipeError, match="cannot write there"):
        Run.create(tmp_path / "run", recipe, resume=False)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"seed": 9}, "seed"), ({"training": {"steps": 7}}, "training"), ({"scale": 4}, "scale")],
)
def test_weights_are_not_resumed_under_a_recipe_that_would_train_them_otherwise(
    run, asked, catalog, change, key
):
    finish_experts(run, catalog)
    with pytest.raises(RecipeError, match=f"expert small was trained with another {key}; restore"):
        Run.create(run.directory, parse(asked | change, "r"), resume=True)


def test_a_resumed_run_may_change_its_router_and_gain_an_expert(run, asked, catalog):
    finish_experts(run, catalog)
    asked["router"]["epsilon"] = 0.1
    asked["experts"].append({"name": "new", "backbone": "compact", "depth": 3})
    resumed = Run.create(run.directory, parse(asked, "r"), resume=True)
    assert (resumed.expert(resumed.recipe.experts[1]) / "weights.pt").exists()
    assert len(Run.open(run.directory).recipe.experts) == 4


def test_an_untrained_expert_may_change_on_resume(run, asked):
    asked["experts"][1]["depth"] = 5
    assert Run.create(run.directory, parse(asked, "r"), resume=True)


def test_a_resumed_run_forgets_the_router_it_had(run, recipe, catalog, router_data):
    finish_experts(run, catalog)
    run.save_scores({"cells": 1})
    run.save_router_data(router_data)
    resumed = Run.create(run.directory, recipe, resume=True)
    assert resumed.scores() == {}
    with pytest.raises(RecipeError, match="router is not trained yet"):
        resumed.router_data()


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match=r"not a run, it has no recipe\.json"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_recipe_is_one_line(run, content):
    (run.directory / "recipe.json").write_text(content)
    with pytest.raises(RecipeError, match=r"recipe\.json: (not JSON|holds a list)"):
        Run.open(run.directory)


def test_a_run_without_its_router_is_not_exported(run, catalog):
    finish_experts(run, catalog)
    with pytest.raises(RecipeError, match=r"its router is not trained yet; finish .*--resume"):
        make_draft(run, catalog)


def test_a_run_without_an_experts_weights_is_not_exported(run, catalog, router_data):
    run.save_router_data(router_data)
    with pytest.raises(RecipeError, match=r"expert small is not trained yet; finish .*--resume"):
        make_draft(run, catalog)


def test_an_expert_starts_from_the_same_weights_at_every_build(run, catalog):
    one, two = (run.build(run.recipe.experts[2], catalog).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_options_that_a_network_refuses_are_one_line(asked, tmp_path, catalog):
    asked["experts"][1]["options"] = {"channels": "many"}
    run = Run(tmp_path, parse(asked, "r"))
    with pytest.raises(RecipeError, match=r"^expert small fails: ") as caught:
        run.build(run.recipe.experts[1], catalog)
    assert "\n" not in str(caught.value)


def test_weights_come_back_as_they_were_saved(run, catalog):
    expert = run.recipe.experts[1]
    module = run.build(expert, catalog)
    torch.nn.init.ones_(module.tail.weight)
    run.save_weights(expert, module)
    assert (run.trained(expert, catalog).tail.weight == 1).all()


def test_router_data_comes_back_as_it_was_saved(run, router_data):
    run.save_router_data(router_data)
    back = run.router_data()
    assert (back.names, back.classes) == (router_data.names, router_data.classes)
    for name in ("features", "errors", "labels", "costs", "images", "shapes", "photos"):
        np.testing.assert_array_equal(getattr(back, name), getattr(router_data, name))


def test_nothing_half_written_stays_beside_a_runs_files(run, catalog, router_data):
    finish_experts(run, catalog)
    run.save_router_data(router_data)
    assert not [path for path in run.directory.rglob("*") if "part" in path.name]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "facts.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}
