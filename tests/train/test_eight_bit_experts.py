"""8-bit experts: from a recipe's request to a measured rung of the ladder."""

import numpy as np
import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.eightbit import EightBit, expert_modules, make_eight_bit
from mmsr_core.train.graph import EIGHT_BIT, GraphModule
from mmsr_core.train.material import Material
from mmsr_core.train.measure import count_macs, route_costs
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import make_draft, train
from mmsr_onnx.eightbit import quantize_module
from mmsr_onnx.rounding import quantize_rounded, rounding

EIGHT_BITS = EightBit(quantize_module, rounding, quantize_rounded)


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
        eight_bit=EIGHT_BITS,
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

    again = train(
        run.recipe,
        images,
        run.directory,
        catalog,
        ignore,
        resume=True,
        eight_bit=EightBit(never, never, never),
    )
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
        make_eight_bit(run, tmp_path, catalog, None, Material(eight_bit, tmp_path), ignore)


def test_an_unfinished_8_bit_expert_says_so(eight_bit, tmp_path):
    run = Run.create(tmp_path / "run", eight_bit, resume=False)
    with pytest.raises(RecipeError, match="large-int8 is not trained yet"):
        run.read_graph(eight_bit.experts[-1])


def test_an_8_bit_expert_with_a_training_learns_from_its_source_on(
    asked, eight_bit, make_photos, catalog, tmp_path
):
    images = make_photos(tmp_path / "images" / "photos").parent
    asked["training"] |= {"steps": 60, "rate": 1e-2, "loss": "l2"}
    recipes = [parse(asked, "made")]
    asked["experts"][-1]["training"] = {"steps": 200}
    recipes.append(parse(asked, "learnt"))
    runs = [
        train(recipe, images, tmp_path / str(i), catalog, ignore, eight_bit=EIGHT_BITS)
        for i, recipe in enumerate(recipes)
    ]
    made, learnt = (expert_modules(run, catalog) for run in runs)
    scores = [run.scores()["psnr_y"] for run in runs]
    tiles = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made["large"](tiles), learnt["large"](tiles))
    assert scores[1]["MODERATE"] > scores[0]["MODERATE"] + 0.05
    assert scores[1]["COMPLEX"] == scores[0]["COMPLEX"]


def test_an_8_bit_expert_that_learns_goes_on_where_it_was_stopped(
    asked, make_photos, catalog, tmp_path
):
    images = make_photos(tmp_path / "images" / "photos").parent
    asked["experts"].append(
        {"name": "large-int8", "quantize": "large", "training": {"steps": 6, "save_every": 3}}
    )
    recipe = parse(asked, "recipe")

    def stopped(what, done, total):
        if what.startswith("8-bit experts"):
            raise KeyboardInterrupt

    whole = train(recipe, images, tmp_path / "whole", catalog, ignore, eight_bit=EIGHT_BITS)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, images, tmp_path / "cut", catalog, stopped, eight_bit=EIGHT_BITS)
    cut = Run(tmp_path / "cut", recipe)
    cut.graph(recipe.experts[-1]).unlink()  # as if the process had ended before it was written
    train(recipe, images, tmp_path / "cut", catalog, ignore, resume=True, eight_bit=EIGHT_BITS)
    assert cut.read_graph(recipe.experts[-1]) == whole.read_graph(recipe.experts[-1])


def test_an_8_bit_expert_trained_otherwise_is_refused(trained, asked):
    run, _ = trained
    asked["experts"][-1]["training"] = {"steps": 3}
    with pytest.raises(RecipeError, match="large-int8 was trained with another rounded"):
        Run.create(run.directory, parse(asked, "recipe"), resume=True)


def test_an_8_bit_expert_has_no_epochs_without_a_store(asked, catalog):
    asked["experts"].append({"name": "q", "quantize": "large", "training": {"epochs": 3}})
    with pytest.raises(RecipeError, match="expert q: epochs need a store"):
        parse(asked, "recipe").check(catalog)


def test_a_network_that_normalises_is_refused_in_a_line(asked, make_photos, catalog, tmp_path):
    images = make_photos(tmp_path / "images" / "photos", height=180, width=180).parent
    asked["scale"] = 2
    asked["experts"][2] = {
        "name": "large",
        "backbone": "srgan",
        "depth": 1,
        "options": {"channels": 8},
        "training": {"patch": 16, "adversarial": {"steps": 0}},
    }
    asked["experts"].append({"name": "q", "quantize": "large", "training": {"steps": 1}})
    with pytest.raises(RecipeError, match="expert q: a network with normalisation can't learn"):
        train(parse(asked, "r"), images, tmp_path / "run", catalog, ignore, eight_bit=EIGHT_BITS)


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
