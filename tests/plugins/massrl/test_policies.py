"""Policies as data: drawn, integrated, read from files, and refused."""

import json
from collections import Counter

import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_massrl.crops import Crop
from mmsr_massrl.ops import EXTENDED, NUMBERS
from mmsr_massrl.policies import (
    Policy,
    Random,
    Strategy,
    View,
    integrated,
    read_policy,
    save_policy,
)
from mmsr_massrl.published import CIFAR, IMAGENET, subpolicies
from mmsr_massrl.sets import HARMLESS, NAMES, named_policy

NAMED = {number: name for name, number in NUMBERS.items()}


def drawn(view, count=4000, seed=0):
    return view.drawn(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("table", [IMAGENET, CIFAR])
def test_autoaugment_published_25_pairs(table):
    lists = subpolicies(table)
    assert len(lists) == 25
    assert all(len(steps) == 2 for steps in lists)
    assert all(0 <= level <= 1 for steps in lists for _, _, level in steps)


def test_a_level_of_9_is_a_whole_range():
    assert subpolicies(IMAGENET)[0] == (("Posterize", 0.4, 8 / 9), ("Rotate", 0.6, 1.0))


def test_randaugment_draws_every_operation_as_often():
    numbers, levels = drawn(View(strategies=(Strategy(random=Random(count=2, level=0.9)),)))
    counts = Counter(NAMED[number] for number in numbers.flatten().tolist())
    assert set(counts) == set(EXTENDED)
    assert min(counts.values()) > 0.75 * 8000 / 18
    assert levels.unique().tolist() == pytest.approx([0.9])


def test_an_operation_runs_as_often_as_its_probability_says():
    steps = (("Invert", 0.25, 0.0), ("Color", 0.8, 0.3))
    numbers, levels = drawn(View(strategies=(Strategy(subpolicies=(steps,)),)))
    assert (numbers[:, 0] == NUMBERS["Invert"]).float().mean() == pytest.approx(0.25, abs=0.03)
    assert (numbers[:, 1] == NUMBERS["Color"]).float().mean() == pytest.approx(0.8, abs=0.03)
    assert (numbers == -1).any()
    assert levels[:, 1].unique().tolist() == pytest.approx([0.3])


def test_strategies_are_drawn_by_their_weights():
    one = Strategy(weight=3, subpolicies=((("Invert", 1, 0),),))
    other = Strategy(weight=1, subpolicies=((("Equalize", 1, 0), ("Invert", 1, 0)),))
    numbers, _ = drawn(View(strategies=(one, other)))
    assert (numbers[:, 0] == NUMBERS["Invert"]).float().mean() == pytest.approx(0.75, abs=0.03)
    assert ((numbers[:, 1] == -1) == (numbers[:, 0] == NUMBERS["Invert"])).all()


def test_policies_integrate_each_as_often_as_the_others():
    policy = integrated([named_policy("byol"), named_policy("randaugment")])
    first, second = policy.views
    assert first.crop.kind == "inception"
    weights = [strategy.weight for strategy in first.strategies]
    assert sum(weights[:-1]) == pytest.approx(1)
    assert weights[-1] == 1
    assert second.strategies != first.strategies


def test_a_policy_without_operations_counts_for_nothing_where_it_is_integrated():
    policy = integrated([named_policy("crop"), named_policy("randaugment")])
    assert policy.view(0).strategies == named_policy("randaugment").view(0).strategies


def test_byols_views_differ_in_blur_and_solarizing():
    policy = named_policy("byol")
    shares = []
    for index in (0, 1):
        numbers, _ = drawn(policy.view(index))
        shares.append(
            [
                (numbers == NUMBERS[name]).any(dim=1).float().mean()
                for name in ("rand_blur", "Solarize", "color_drop", "rand_hue")
            ]
        )
    assert shares[0] == pytest.approx([1.0, 0.0, 0.2, 0.8], abs=0.03)
    assert shares[1] == pytest.approx([0.1, 0.2, 0.2, 0.8], abs=0.03)


def test_the_policy_for_tiles_leaves_out_what_changes_sharpness_and_scale():
    view = named_policy("tile").view(0)
    numbers, _ = drawn(view)
    assert {NAMED[number] for number in numbers.unique().tolist()} == set(HARMLESS)
    assert not {"rand_blur", "Sharpness", "Posterize", "ShearX"} & set(HARMLESS)
    assert view.crop.kind == "window"


@pytest.mark.parametrize("name", NAMES)
def test_a_named_policy_comes_back_from_its_file(name, tmp_path):
    policy = named_policy(name)
    save_policy(tmp_path / "policy.json", policy)
    assert read_policy(tmp_path / "policy.json") == policy


def test_another_crop_goes_into_every_view():
    policy = named_policy("byol").cropped(Crop())
    assert [view.crop.kind for view in policy.views] == ["uniform", "uniform"]


def test_a_bare_list_of_sub_policies_is_a_policy(tmp_path):
    path = tmp_path / "fast.json"
    path.write_text('[[["ShearX", 0.9, 0.4], ["Invert", 0.2, 0.3]], [["Cutout", 1, 0.5]]]')
    policy = read_policy(path)
    assert policy.name == "fast"
    assert policy.view(0).crop == Crop()
    assert policy.view(0).strategies[0].subpolicies == (
        (("ShearX", 0.9, 0.4), ("Invert", 0.2, 0.3)),
        (("Cutout", 1, 0.5),),
    )


def test_randaugment_takes_n_and_m():
    strategy = named_policy("randaugment:1,5").view(0).strategies[0]
    assert strategy.random == Random(count=1, level=0.5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nonsense", "not JSON"),
        ("3", "policy"),
        ("[]", "subpolicies"),
        ('[[["SheerX", 0.9, 0.4]]]', 'no operation named "SheerX"'),
        ('[[["ShearX", 0.9, 0.4]]]'.replace("0.4", "4"), "less than or equal to 1"),
        ('[[["ShearX", -1, 0.4]]]', "greater than or equal to 0"),
        ('[[["ShearX", 0.9]]]', "Field required"),
        ("[[]]", "at least 1 item"),
        ('{"format": "mmsr-policy/2", "views": [{}]}', "mmsr-policy/1"),
        ('{"views": [{"strategies": [{}]}]}', "one of the two"),
        ('{"views": [{"crops": {}}]}', "crops"),
        ('{"views": []}', "at least 1 item"),
    ],
)
def test_a_bad_policy_file_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(RecipeError, match=r"policy\.json") as caught:
        read_policy(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["masrl", "randaugment:0,9", "randaugment:2", "randaugment:2,11"])
def test_an_unknown_policy_is_refused_in_one_line(name):
    with pytest.raises(RecipeError, match="policy"):
        named_policy(name)


def test_a_missing_policy_file_is_refused_in_one_line():
    with pytest.raises(RecipeError, match="cannot read the policy"):
        named_policy("nowhere.json")


def test_the_file_holds_plain_json(tmp_path):
    save_policy(tmp_path / "p.json", Policy(views=(View(),)))
    assert json.loads((tmp_path / "p.json").read_text())["format"] == "mmsr-policy/1"
