"""Training that goes on from another run's weights, and the loss it lowers."""

from copy import deepcopy

import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import train


def ignore(what, done, total):
    pass


def weights(run, name):
    expert = next(expert for expert in run.recipe.experts if expert.name == name)
    return torch.load(run.expert(expert) / "weights.pt", weights_only=True)


@pytest.fixture
def finished(asked, make_photos, catalog, tmp_path):
    """A run of the tiny recipe, and the request for one that begins with it."""
    make_photos(tmp_path / "images" / "photos")
    run = train(parse(asked, "recipe"), tmp_path / "images", tmp_path / "run", catalog, ignore)
    return run, deepcopy(asked) | {"start": str(run.directory)}


def test_an_expert_begins_with_the_weights_of_its_namesake(finished, catalog, tmp_path):
    run, asked = finished
    asked["training"]["steps"] = 0
    again = train(parse(asked, "r"), tmp_path / "images", tmp_path / "again", catalog, ignore)
    for name in ("small", "large"):
        for key, value in weights(run, name).items():
            torch.testing.assert_close(weights(again, name)[key], value, rtol=0, atol=0)


def test_an_expert_without_a_namesake_begins_as_it_would_anyway(finished, catalog, tmp_path):
    _, asked = finished
    asked["experts"][1]["name"] = "new"
    asked["routes"] = {"A": "floor", "B": "new", "C": "large"}
    recipe = parse(asked, "r")
    run = Run(tmp_path / "again", recipe)
    begun = run.initial(recipe.experts[1], catalog).state_dict()
    for key, value in run.build(recipe.experts[1], catalog).state_dict().items():
        torch.testing.assert_close(begun[key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("start", "complaint"),
    [("nowhere", "start: nowhere: not a run"), ("images", "start: .*images: not a run")],
)
def test_a_start_that_is_no_run_is_refused(finished, catalog, tmp_path, start, complaint):
    _, asked = finished
    asked["start"] = start if start == "nowhere" else str(tmp_path / start)
    with pytest.raises(RecipeError, match=complaint):
        train(parse(asked, "r"), tmp_path / "images", tmp_path / "again", catalog, ignore)
    assert not (tmp_path / "again").exists()


def test_a_start_that_is_not_finished_is_refused(finished, catalog, tmp_path):
    run, asked = finished
    (run.expert(run.recipe.experts[2]) / "weights.pt").unlink()
    with pytest.raises(RecipeError, match=r"start: cannot read .*large.*; train that run first"):
        train(parse(asked, "r"), tmp_path / "images", tmp_path / "again", catalog, ignore)


def test_weights_of_another_network_are_refused(finished, catalog, tmp_path):
    _, asked = finished
    asked["experts"][2]["options"]["channels"] = 16
    with pytest.raises(RecipeError, match="holds no weights of expert large with these options"):
        train(parse(asked, "r"), tmp_path / "images", tmp_path / "again", catalog, ignore)


def test_a_finished_run_does_without_its_start(finished, catalog, tmp_path):
    run, asked = finished
    recipe, images = parse(asked, "r"), tmp_path / "images"
    train(recipe, images, tmp_path / "again", catalog, ignore)
    run.directory.rename(tmp_path / "gone")
    train(recipe, images, tmp_path / "again", catalog, ignore, resume=True)


def test_a_run_that_began_elsewhere_is_not_resumed(finished, catalog, tmp_path):
    _, asked = finished
    train(parse(asked, "r"), tmp_path / "images", tmp_path / "again", catalog, ignore)
    del asked["start"]
    with pytest.raises(RecipeError, match="small was trained with another start"):
        Run.create(tmp_path / "again", parse(asked, "r"), resume=True)


def test_the_losses_lead_to_different_weights(finished, catalog, tmp_path):
    run, asked = finished
    del asked["start"]
    asked["training"]["loss"] = "l2"
    other = train(parse(asked, "r"), tmp_path / "images", tmp_path / "other", catalog, ignore)
    assert not torch.equal(weights(run, "large")["tail.bias"], weights(other, "large")["tail.bias"])


def test_runs_from_before_there_was_a_choice_of_losses_can_be_resumed(recipe):
    assert "loss" not in recipe.training.essence()
    squared = recipe.training.model_copy(update={"loss": "l2"})
    assert squared.essence() == recipe.training.essence() | {"loss": "l2"}
