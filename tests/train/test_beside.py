"""Recipes whose router has more than one extractor."""

import pytest
import torch

from mmsr_core.errors import MmsrError
from mmsr_core.train.recipe import parse
from mmsr_core.train.stages import build_extractor
from mmsr_core.train.study.compare import build_features

FEATURES = {"name": "texture", "options": {"features": ["mean", "tvat"]}}
OTHER = {"name": "texture", "options": {"features": ["contrast", "mean"]}}


def test_the_features_of_what_is_beside_follow_those_of_the_first(asked, catalog):
    asked["router"] = {"extractor": FEATURES, "beside": [OTHER]}
    extractor = build_extractor(parse(asked, "recipe"), catalog)
    assert extractor.names == ("mean", "tvat", "contrast", "mean beside")
    tiles = torch.rand(3, 3, 16, 16)
    features = extractor(tiles)
    assert torch.equal(features[:, 0], features[:, 3])
    assert not extractor.training


def test_a_study_compares_all_that_the_recipe_has(asked, catalog):
    asked["router"] = {"extractor": FEATURES, "beside": [OTHER]}
    extractor, columns = build_features(parse(asked, "recipe"), catalog)
    tiles = torch.rand(3, 3, 16, 16)
    own = build_extractor(parse(asked, "recipe"), catalog)(tiles)
    assert torch.equal(extractor(tiles)[:, list(columns["recipe"])], own)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"name": "txture"}, 'router.beside: no extractor named "txture"'),
        ({"name": "texture", "options": {"feature": []}}, "router.beside: no option of texture"),
    ],
)
def test_a_mistake_beside_is_told_with_its_place(asked, catalog, beside, said):
    asked["router"] = {"beside": [beside]}
    with pytest.raises(MmsrError, match=said):
        parse(asked, "recipe").check(catalog)


def test_a_misspelt_key_beside_is_named(asked):
    asked["router"] = {"beside": [{"nam": "texture"}]}
    with pytest.raises(MmsrError, match=r'no key named "nam"; \[router\.beside\.0\] takes'):
        parse(asked, "recipe")
