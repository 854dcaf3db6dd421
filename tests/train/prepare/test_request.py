from dataclasses import replace

import pytest

from mmsr_core.errors import PluginError, RecipeError
from mmsr_core.train.prepare.prune import EDGES, ETVAT, Thresholds
from mmsr_core.train.prepare.request import Request

PRUNED = Request(scale=2, tile=8, share=0.4)


def test_texture_scores_tvat_and_the_papers_five_features(catalog):
    assert Request().build(catalog).names == ("tvat", *ETVAT, *EDGES)


def test_pruning_needs_the_scores_it_votes_on(catalog):
    other = replace(PRUNED, options={"features": ("tvat", "contrast", *ETVAT)})
    with pytest.raises(RecipeError, match="pruning needs edge_score, limited_edge_score, which"):
        other.build(catalog)
    assert replace(other, share=None).build(catalog).names == ("tvat", "contrast", *ETVAT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extractor": "textur"}, 'did you mean "texture"'),
        ({"options": {"treshold": 1.0}}, 'no option of texture named "treshold"'),
        ({"options": {"threshold": -1.0}}, "have to be 0 or more"),
    ],
)
def test_a_wrong_extractor_is_refused(catalog, change, message):
    with pytest.raises((PluginError, RecipeError), match=message):
        replace(PRUNED, **change).build(catalog)


def test_a_default_counts_as_if_it_were_given(catalog, make_photos, tmp_path):
    photos = PRUNED.find(make_photos(tmp_path / "photos", 1))
    given = replace(PRUNED, options={"threshold": 0.01})
    facts = [request.facts(catalog, photos, tmp_path) for request in (PRUNED, given)]
    assert facts[0] == facts[1]
    assert facts[0]["options"]["edge_limit"] == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0.0}, "prune 0: has to lie between 0 and 1"),
        ({"share": 1.0}, "prune 1: has to lie between 0 and 1"),
        ({"share": float("nan")}, "prune nan: has to lie between"),
        ({"scale": 1}, "scale 1: has to be 2 or more"),
        ({"tile": 7}, "tile 7: has to be 8"),
        ({"overlap": 8}, "overlap 8: .* fewer than a tile's 8"),
        ({"overlap": -1}, "overlap -1"),
        ({"shrink": (0,)}, "shrink"),
        ({"shrink": (2, 2)}, "each once"),
        ({"thresholds": Thresholds(1, 1)}, "give one or the other"),
        ({"share": None, "thresholds": Thresholds(1)}, "takes threshold 2 .* and one of 3 and 4"),
        ({"share": None, "thresholds": Thresholds(0, 1)}, "takes threshold 2"),
        ({"share": None, "thresholds": Thresholds(1, -1)}, "have to be 0 or more"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        replace(PRUNED, **change)
