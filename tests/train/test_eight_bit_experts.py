"""8-bit experts: from a recipe's request to a measured rung of the ladder."""

import numpy as np
import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.eightbit import expert_modules, make_eight_bit
from mmsr_core.train.graph import EIGHT_BIT, GraphModule
from mmsr_core.train.measure import count_macs, route_costs
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import make_draft, train
from mmsr_onnx.eightbit import quantize_module


def ignore(what, done, total):
    pass


@pytest.fixture
def eight_bit(asked):
    """The tiny recipe with 8-bit forms of its network of eight channels."""
    asked["experts"].append({"name": "large-int8", "quantize": "large"})
    asked["routes"] = {"SIMPLE": "floor", "MODERATE": "large-int8", "COMPLEX": "large"}
    return parse(asked, "recipe")


@pytest.fixture
def trained(eight_bit, make_photos, catalog, tmp_path):
    make_photos(tmp_path / "images" / "photos")
    run = train(
        eight_bit,
        tmp_path / "images",
        tmp_path / "run",
        catalog,
        ignore,
        quantize=quantize_module,
    )
    return run, tmp_path / "images"


def test_an_8_bit_expert_answers_nearly_as_its_source(trained, catalog):
    run, _ = trained
    modules = expert_modules(run, catalog)
    tiles = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    difference = (modules["large-int8"](tiles) - modules["large"](tiles)).abs()
    assert 0 < difference.max() < 0.05


def test_an_8_bit_expert_is_ranked_below_its_source(trained, catalog):
    run, _ = trained
    modules = expert_modules(run, catalog)
    costs = route_costs(modules, {"A": (("large-int8",), None), "B": (("large",), None)})
    np.testing.assert_allclose(costs, [EIGHT_BIT, 1])


def test_a_draft_carries_the_8_bit_graph_and_the_name_of_its_source(trained, catalog):
    run, _ = trained
    drafts = {expert.name: expert for expert in make_draft(run, catalog).experts}
    draft = drafts["large-int8"]
    assert (draft.exact, draft.module) == ("large", None)
    assert draft.graph == run.read_graph(run.recipe.experts[-1])
    assert draft.macs == drafts["large"].macs
    assert (draft.backbone, draft.depth, draft.radius) == ("compact", 2, drafts["large"].radius)


def test_the_router_split_measures_the_8_bit_route_itself(trained):
    run, _ = trained
    errors = run.router_data().errors
    assert not np.array_equal(errors[:, 1], errors[:, 2])
    np.testing.assert_allclose(errors[:, 1], errors[:, 2], rtol=0.5)


def test_a_resumed_run_keeps_its_8_bit_experts(trained, catalog):
    run, images = trained

    def never(module, tiles):
        raise AssertionError("made again")

    again = train(run.recipe, images, run.directory, catalog, ignore, resume=True, quantize=never)
    assert again.read_graph(run.recipe.experts[-1])


def test_an_8_bit_expert_of_otherwise_trained_weights_is_refused(trained, asked):
    run, _ = trained  # made of `asked`, whose 8-bit expert is there already
    asked["experts"][2]["training"] = {"steps": 7}
    with pytest.raises(RecipeError, match="trained with another training"):
        Run.create(run.directory, parse(asked, "recipe"), resume=True)


def test_without_an_exporter_8_bit_experts_are_refused(eight_bit, make_photos, catalog, tmp_path):
    make_photos(tmp_path / "photos")
    run = Run.create(tmp_path / "run", eight_bit, resume=False)
    with pytest.raises(RecipeError, match="large-int8: 8-bit experts need an exporter"):
        make_eight_bit(run, tmp_path, catalog, None, ignore)


def test_an_unfinished_8_bit_expert_says_so(eight_bit, tmp_path):
    run = Run.create(tmp_path / "run", eight_bit, resume=False)
    with pytest.raises(RecipeError, match="large-int8 is not trained yet"):
        run.read_graph(eight_bit.experts[-1])


def test_a_graph_module_counts_as_the_macs_it_is_given(trained):
    run, _ = trained
    module = GraphModule(run.read_graph(run.recipe.experts[-1]), "large-int8", 2, 12.0)
    assert route_costs({"g": module}, {"A": (("g",), None)}).tolist() == [1.0]
    assert count_macs(module) == 0  # a graph has no layers to count


@pytest.mark.parametrize(
    ("expert", "complaint"),
    [
        ({"name": "q", "quantize": "larg"}, 'did you mean "large"'),
        ({"name": "q", "quantize": "q"}, 'no expert named "q"'),
        ({"name": "q", "quantize": "large", "depth": 2}, "leave out depth"),
        ({"name": "q", "quantize": "large", "backbone": "compact"}, "leave out backbone"),
        ({"name": "q"}, "needs a backbone, or quantize"),
    ],
)
def test_a_wrong_8_bit_request_is_named(asked, expert, complaint):
    asked["experts"].append(expert)
    with pytest.raises(RecipeError, match=complaint):
        parse(asked, "recipe")


def test_a_recipe_with_8_bit_experts_survives_a_run(eight_bit, tmp_path):
    run = Run.create(tmp_path / "run", eight_bit, resume=False)
    assert Run.open(run.directory).recipe == eight_bit
