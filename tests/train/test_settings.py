import json

import pytest

from mmsr_core.train.recipe import parse


@pytest.mark.parametrize(
    "training",
    [
        {"epochs": 2.5},
        {"steps": 7},
        {"epochs": 1, "adversarial": {"epochs": 3}},
        {"adversarial": {"epochs": 3}},
    ],
)
def test_a_recipe_is_read_as_it_was_written(asked, training):
    asked["data"] = [{"folder": "photos", "store": "photos.tiles"}]
    asked["training"] = training
    asked["experts"][1]["training"] = {"adversarial": {"steps": 5}}
    asked["experts"][2]["training"] = {"epochs": 4}
    recipe = parse(asked, "recipe")
    again = parse(json.loads(json.dumps(recipe.model_dump(mode="json"))), "run")
    assert again == recipe
    assert list(map(again.fit_of, again.experts)) == list(map(recipe.fit_of, recipe.experts))
