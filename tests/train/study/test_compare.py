import json

import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Extractor
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import train
from mmsr_core.train.study.compare import PAPER, build_features, study
from mmsr_core.train.study.contenders import Ask, contenders, sizes

ASK = Ask(cells=(16, 24), trees=(2,), depths=(3,), tolerance=0.05)


def ignore(what, done, total):
    pass


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def run(asked, catalog, make_photos, places):
    """A trained toy run; the photographs lie beside it."""
    asked["router"]["folds"] = 2
    if not (places / "photos").exists():
        make_photos(places / "photos")
        train(parse(asked, "recipe"), places, places / "run", catalog, ignore)
    return Run.open(places / "run")


@pytest.fixture
def folder(run, make_photos, places):
    if not (places / "apart").exists():
        make_photos(places / "apart", 2)
    return places / "apart"


@pytest.fixture
def found(run, catalog, places, folder):
    kept = places / "found.json"
    if not kept.exists():
        study(run, catalog, places, [folder], ASK, ignore)
        kept.write_text((run.directory / "study.json").read_text())
    return json.loads(kept.read_text())


@pytest.fixture
def oracle_alone(monkeypatch):
    """Studies that fit nothing, for what is not about forests."""

    def alone(recipe, ask, every=contenders):
        return [setting for setting in every(recipe, ask) if setting.router == "oracle"]

    monkeypatch.setattr("mmsr_core.train.study.compare.contenders", alone)


def test_the_study_stays_in_the_run_with_a_row_for_every_contender(found, run):
    assert len(found["rows"]) == len(contenders(run.recipe, ASK))
    routers = {row["router"] for row in found["rows"]}
    rules = {"tvat-threshold", "edge-threshold"}
    assert routers == {"forest", "forest-gain", "oracle"} | rules | {f"{r}, tuned" for r in rules}
    assert found["photographs"] == {"router": 3, "apart": 2}
    assert found["costs"] == "multiply-accumulates"
    assert not list(run.directory.glob("*.part"))


def test_rows_are_sorted_by_their_mean_cost(found):
    costs = [np.mean([one["cost"] for one in row["sets"].values()]) for row in found["rows"]]
    assert costs == sorted(costs)


def test_no_router_loses_more_than_the_tolerance(found):
    for row in found["rows"]:
        assert all(one["lost"] <= 0.05 for one in row["sets"].values())


def test_no_router_keeps_more_than_the_oracle_saves(found):
    for row in found["rows"]:
        for one in row["sets"].values():
            assert one["kept"] is None or one["kept"] <= 1.02  # the oracle's λ is bisected
            if row["router"] == "oracle" and one["kept"] is not None:
                assert one["kept"] == 1


def test_one_factor_at_a_time_is_varied(asked):
    asked["router"] = {"classifier": {"name": "forest-gain", "options": {"trees": 7, "leaf": 3}}}
    recipe = parse(asked, "recipe")
    settings = contenders(recipe, ASK)
    base = settings[0]
    assert (base.router, base.features, base.cell) == ("forest-gain", "recipe", 16)
    assert base.options == {"trees": 7, "depth": 12, "leaf": 3}
    for setting in settings[1:]:
        if setting.router in ("forest", "forest-gain"):
            changed = [
                setting.router != base.router,
                setting.features != base.features,
                setting.cell != base.cell,
                setting.options["trees"] != 7,
                setting.options["depth"] != 12,
            ]
            assert sum(changed) == 1
    assert len({repr(setting) for setting in settings}) == len(settings)


def test_the_recipes_own_cell_is_measured_first(asked):
    assert sizes(parse(asked, "recipe"), Ask(cells=(8, 16))) == (16, 8)


def test_the_experts_run_once_per_photograph_whatever_the_cells(
    run, catalog, places, folder, oracle_alone, monkeypatch
):
    ran = []

    def trained(self, expert, catalog, load=Run.trained):
        module = load(self, expert, catalog)
        module.register_forward_hook(lambda *_: ran.append(expert.name))
        return module

    monkeypatch.setattr(Run, "trained", trained)
    study(run, catalog, places, [folder], ASK, ignore)
    counted = ran.count("large") - 1  # once on nothing, to count its MACs, for each set
    assert counted - 1 == 3 + 2


def test_measured_costs_replace_the_multiply_accumulates(run, catalog, places, oracle_alone):
    costs = {"floor": 0.1, "small": 0.3, "large": 0.8}
    found = study(run, catalog, places, [], ASK, ignore, costs)
    assert found["costs"] == "measured"
    assert found["routes"] == pytest.approx({"SIMPLE": 0.5, "MODERATE": 0.375, "COMPLEX": 1})


def test_costs_that_lack_an_expert_are_refused(run, catalog, places):
    with pytest.raises(RecipeError, match="the costs lack the expert floor; they are of large"):
        study(run, catalog, places, [], ASK, ignore, {"large": 1.0})


def test_two_sets_of_one_name_are_refused(run, catalog, places, folder):
    with pytest.raises(RecipeError, match='two sets of photographs are called "apart"'):
        study(run, catalog, places, [folder, folder], ASK, ignore)


def test_the_set_recipe_has_the_features_that_the_recipe_asks_for(asked, catalog):
    asked["router"] = {"extractor": {"name": "texture", "options": {"features": ["mean", "tvat"]}}}
    extractor, columns = build_features(parse(asked, "recipe"), catalog)
    assert [extractor.names[column] for column in columns["recipe"]] == ["mean", "tvat"]
    assert list(columns["all"]) == list(range(len(extractor.names)))
    assert [extractor.names[column] for column in columns["paper"]] == list(PAPER)


class Brightness(nn.Module):
    names = ("brightness",)

    def forward(self, tiles):
        return tiles.amax((1, 2, 3))[:, None]


def test_another_extractor_runs_beside_the_texture(asked, catalog):
    bright = Extractor(name="bright", summary="", build=Brightness)
    both = Catalog((*catalog.entries, Entry("extractor", bright, "a test")))
    asked["router"] = {"extractor": {"name": "bright"}}
    extractor, columns = build_features(parse(asked, "recipe"), both)
    tiles = torch.rand(3, 3, 16, 16)
    features = extractor(tiles)[:, list(columns["recipe"])]
    torch.testing.assert_close(features, tiles.amax((1, 2, 3))[:, None])
    assert "tvat" in extractor.names
