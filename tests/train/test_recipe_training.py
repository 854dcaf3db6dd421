"""What a recipe says of classes, lengths and the GAN phase."""

import pytest

from mmsr_core.errors import PluginError, RecipeError
from mmsr_core.train.recipe import parse


def test_an_adversarial_backbone_needs_patches_that_a_discriminator_takes(asked, catalog):
    asked["experts"][1] = {"name": "small", "backbone": "srgan", "depth": 1}
    with pytest.raises(RecipeError, match=r"^expert small: training\.patch 12 makes .* 24 pixels"):
        parse(asked, "r").check(catalog)


def test_a_discriminators_options_are_checked_against_it(asked, catalog):
    asked["training"]["patch"] = 16
    asked["experts"][1] = {"name": "small", "backbone": "srgan", "depth": 1}
    asked["experts"][1]["discriminator"] = {"layer": 4}
    with pytest.raises(PluginError, match=r'^expert small: no option .* "layer"; .*layers'):
        parse(asked, "r").check(catalog)


def test_a_pixel_backbone_has_no_discriminator(asked, catalog):
    asked["experts"][1]["discriminator"] = {"layers": 4}
    with pytest.raises(RecipeError, match=r"^expert small: compact has no discriminator"):
        parse(asked, "r").check(catalog)


def test_epochs_need_a_store(asked, catalog):
    asked["experts"][1]["training"] = {"epochs": 3}
    with pytest.raises(RecipeError, match=r"^expert small: epochs need a store"):
        parse(asked, "r").check(catalog)


def test_a_length_is_given_one_way(asked):
    asked["training"]["epochs"] = 3
    with pytest.raises(RecipeError, match="training: a length is given in steps or in epochs"):
        parse(asked, "r")


def test_an_experts_epochs_replace_the_recipes_steps(asked):
    asked["data"][0]["store"] = "tiles"
    asked["experts"][1]["training"] = {"epochs": 3}
    recipe = parse(asked, "r")
    assert recipe.fit_of(recipe.experts[1]).length(tiles=10, batch=4) == 8  # 30 tiles, 4 a step
    assert recipe.fit_of(recipe.experts[2]).length(tiles=10, batch=4) == 6


def test_the_gan_phase_is_overridden_key_by_key(asked):
    asked["training"]["adversarial"] = {"rate": 3e-4, "features": "none"}
    asked["experts"][1]["training"] = {"adversarial": {"steps": 7}}
    recipe = parse(asked, "r")
    phase = recipe.fit_of(recipe.experts[1]).adversarial
    assert (phase.steps, phase.rate, phase.features) == (7, 3e-4, "none")


@pytest.mark.parametrize(
    ("bands", "problem"),
    [
        ({"quantiles": [0.5]}, "3 classes need 2 cuts between them, not 1"),
        ({}, "bands need thresholds or quantiles"),
        ({"quantiles": [0.3, 0.6], "thresholds": [2, 4]}, "one of the two"),
        ({"thresholds": [4, 2]}, "have to rise"),
        ({"quantiles": [0.5, 1.5]}, "less than 1"),
    ],
)
def test_bands_that_cannot_cut_the_classes_are_refused(asked, bands, problem):
    asked["data"][0]["store"] = "tiles"
    asked["bands"] = bands
    with pytest.raises(RecipeError, match=problem):
        parse(asked, "r")


def test_class_wise_training_needs_a_store(asked):
    asked["bands"] = {"thresholds": [2, 4]}
    with pytest.raises(RecipeError, match="bands: class-wise training needs a store"):
        parse(asked, "r")


def test_with_bands_an_expert_learns_from_the_classes_it_answers_for(asked):
    asked["data"][0]["store"] = "tiles"
    asked["bands"] = {"thresholds": [2, 4]}
    asked["experts"][2]["tiles"] = "all"
    asked["experts"].append({"name": "plain", "backbone": "compact", "depth": 3})
    recipe = parse(asked, "r")
    classes = {expert.name: recipe.classes_of(expert) for expert in recipe.experts}
    assert classes["small"] == ("SIMPLE", "MODERATE")
    assert classes["large"] == classes["plain"] == ()  # no class: all tiles


def test_an_expert_of_no_class_cannot_learn_class_wise(asked):
    asked["data"][0]["store"] = "tiles"
    asked["bands"] = {"thresholds": [2, 4]}
    asked["experts"].append({"name": "plain", "backbone": "compact", "tiles": "class"})
    with pytest.raises(RecipeError, match='plain answers for no class; give it tiles = "all"'):
        parse(asked, "r")


def test_a_store_beside_one_folder_is_asked_of_all(asked):
    asked["data"] = [{"folder": "a", "store": "tiles"}, {"folder": "b"}]
    with pytest.raises(RecipeError, match="either every folder has a store, or none"):
        parse(asked, "r")


@pytest.mark.parametrize("change", [{"accumulate": 3}, {"devices": 3}])
def test_a_batch_that_cannot_be_shared_out_is_refused(asked, change):
    asked["training"] |= change
    with pytest.raises(RecipeError, match="a batch of 2 can't be cut into"):
        parse(asked, "r")
