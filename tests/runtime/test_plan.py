from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import uniform_plan

from mmsr_core.runtime.bundle import Effort
from mmsr_core.runtime.plan import (
    FORBIDDEN,
    OVERHEAD,
    Block,
    Costs,
    make_plan,
    penalties,
    price,
)
from mmsr_core.runtime.tiles import Grid

COSTS = Costs((0.05, 0.3, 1.0), halo=4)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def grids(draw, cells):
    """An image of at most cells × cells cells, the last of them possibly cut short."""
    cell = draw(st.integers(8, 24))
    size = st.integers(1, cells * cell)
    return Grid(draw(size), draw(size), cell)


def random_scores(grid, seed, routes=3):
    return np.random.default_rng(seed).gamma(0.3, 1.0, (grid.rows * grid.columns, routes))


def random_probs(grid, seed):
    scores = random_scores(grid, seed) + 1e-3
    return scores / scores.sum(1, keepdims=True)


def charge(plan):
    """A plan's time as the planner counts it: pixels of the dearest route, starts included."""
    area = plan.grid.height * plan.grid.width
    return plan.cost + OVERHEAD * len(plan.regions) / area


def value(plan, losses, rate):
    """The objective that a plan minimises."""
    picked = losses[np.arange(len(losses)), plan.routes.ravel()]
    return picked.sum() + rate * charge(plan)


def partitions(rows, columns):
    """Every guillotine partition of a rectangle of cells."""
    found = {frozenset([(rows, columns)])}
    for k in range(rows[0] + 1, rows[1]):
        upper, lower = partitions((rows[0], k), columns), partitions((k, rows[1]), columns)
        found |= {a | b for a, b in product(upper, lower)}
    for k in range(columns[0] + 1, columns[1]):
        left, right = partitions(rows, (columns[0], k)), partitions(rows, (k, columns[1]))
        found |= {a | b for a, b in product(left, right)}
    return found


def least_value(losses, grid, costs, rate):
    """The objective's minimum by trying every partition with every route."""
    shaped = losses.reshape(grid.rows, grid.columns, -1)
    area = grid.height * grid.width

    def rectangle(rows, columns):
        box = grid.box(slice(*rows), slice(*columns))
        window = box.grown(costs.halo, grid.height, grid.width).area
        lost = shaped[slice(*rows), slice(*columns)].sum((0, 1))
        return min(lost + rate * (window * np.array(costs.routes) + OVERHEAD) / area)

    everything = partitions((0, grid.rows), (0, grid.columns))
    return min(sum(rectangle(*pair) for pair in partition) for partition in everything)


@settings(max_examples=25)
@given(grids(3), seeds, st.sampled_from([0.01, 0.3, 2.0, 10.0]), st.integers(0, 12))
def test_a_plan_is_the_best_of_all_guillotine_partitions(grid, seed, rate, halo):
    costs = Costs(COSTS.routes, halo)
    losses = penalties(random_scores(grid, seed), "errors", 0.5, costs)
    plan = make_plan(losses, grid, costs, rate)
    assert value(plan, losses, rate) == pytest.approx(least_value(losses, grid, costs, rate))


@settings(max_examples=25)
@given(grids(20), seeds, st.sampled_from([0.0, 0.3, 5.0]))
def test_a_plan_covers_every_cell_exactly_once(grid, seed, rate):
    losses = penalties(random_scores(grid, seed), "errors", 0.5, COSTS)
    plan = make_plan(losses, grid, COSTS, rate)
    seen = np.zeros((grid.height, grid.width), int)
    for region in plan.regions:
        box = region.box
        seen[box.top : box.bottom, box.left : box.right] += 1
        cells = plan.routes[
            box.top // grid.cell : -(-box.bottom // grid.cell),
            box.left // grid.cell : -(-box.right // grid.cell),
        ]
        assert (cells == region.route).all()
    assert (seen == 1).all()


@settings(max_examples=25)
@given(grids(8), seeds, st.lists(st.floats(0, 0.999), min_size=2, max_size=2))
def test_more_effort_never_costs_less_with_probabilities(grid, seed, efforts):
    low, high = (
        make_plan(penalties(random_probs(grid, seed), "probs", e, COSTS), grid, COSTS, 1.0)
        for e in sorted(efforts)
    )
    assert charge(low) <= charge(high) + 1e-9


@settings(max_examples=25)
@given(grids(8), seeds, st.lists(st.floats(0, 0.999), min_size=2, max_size=2))
def test_more_effort_never_costs_less_with_expected_errors(grid, seed, efforts):
    knob = Effort(default=0.5, prices=((0.0, 10.0), (0.4, 1.0), (1.0, 0.0)))
    losses = penalties(random_scores(grid, seed), "errors", 0.5, COSTS)
    low, high = (make_plan(losses, grid, COSTS, price(e, knob)) for e in sorted(efforts))
    assert charge(low) <= charge(high) + 1e-9


@settings(max_examples=25)
@given(grids(8), seeds, st.sampled_from(["probs", "errors"]))
def test_effort_one_is_the_dearest_route_in_one_region(grid, seed, output):
    losses = penalties(random_probs(grid, seed), output, 1.0, COSTS)
    plan = make_plan(losses, grid, COSTS, 1.0)
    assert len(plan.regions) == 1
    assert (plan.routes == COSTS.deepest).all()


@settings(max_examples=25)
@given(grids(8), seeds)
def test_an_image_that_is_dear_everywhere_costs_a_plain_run(grid, seed):
    scores = 1 + random_scores(grid, seed)
    scores[:, COSTS.deepest] = 1e-3
    plan = make_plan(penalties(scores, "errors", 0.5, COSTS), grid, COSTS, 0.01)
    assert plan.cost == pytest.approx(1.0)


def test_a_lone_cheap_cell_among_dear_ones_is_not_worth_its_borders():
    grid = Grid(160, 160, 32)
    losses = np.tile([0.1, 0.1, 0.0], (25, 1))
    losses[12, 0] = 0.0
    plan = make_plan(losses, grid, Costs(COSTS.routes, halo=12), 0.3)
    assert (plan.routes == COSTS.deepest).all()


def test_a_cheap_half_is_cut_off():
    grid = Grid(128, 256, 32)
    losses = np.tile([0.1, 0.1, 0.0], (32, 1)).reshape(4, 8, 3)
    losses[:, :4] = 0.0
    plan = make_plan(losses.reshape(32, 3), grid, COSTS, 0.3)
    assert plan.routes.tolist() == [[0] * 4 + [2] * 4] * 4
    assert len(plan.regions) == 2


def test_halo_is_charged():
    grid = Grid(8, 32, 8)
    losses = np.array([[0.0, FORBIDDEN], [0.0, FORBIDDEN], [FORBIDDEN, 0.0], [FORBIDDEN, 0.0]])
    plan = make_plan(losses, grid, Costs((0.5, 1.0), halo=3), 1.0)
    assert plan.pixels().tolist() == [19 * 8, 19 * 8]
    assert plan.cost == pytest.approx(1.5 * 19 * 8 / (32 * 8))


def test_blocks_bound_the_size_of_a_region():
    plan = uniform_plan(Grid(8 * 5, 8 * 9, 8), COSTS, 1, Block(4, 8))
    assert sorted(region.box.area // 64 for region in plan.regions) == [1, 4, 8, 4 * 8]
    assert (plan.routes == 1).all()


def test_free_time_is_not_wasted():
    plan = make_plan(np.zeros((9, 3)), Grid(24, 24, 8), COSTS, 0.0)
    assert len(plan.regions) == 1
    assert (plan.routes == 0).all()


def test_expected_errors_are_shares_of_the_dearest_route_whatever_the_brightness():
    scores = np.array([[4.0, 2.0, 1.0], [9.0, 6.0, 3.0]])
    shares = penalties(scores, "errors", 0.5, COSTS)
    assert shares[:, 2].sum() == pytest.approx(1)
    np.testing.assert_allclose(penalties(scores / 1000, "errors", 0.5, COSTS), shares)


def test_probabilities_pick_the_class_at_which_they_reach_the_effort():
    probs = np.array([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
    losses = penalties(probs, "probs", 0.5, COSTS)
    assert (losses == 0).argmax(axis=1).tolist() == [0, 1, 2]
    assert (losses[1] == [FORBIDDEN, 0, 0]).all()


def test_probabilities_that_sum_to_less_than_the_effort_pick_the_last_class():
    losses = penalties(np.array([[0.3, 0.3, 0.3]]), "probs", 0.95, COSTS)
    assert losses.tolist() == [[FORBIDDEN, FORBIDDEN, 0.0]]


@pytest.mark.parametrize("effort", [0.0, 0.5, 0.99])
def test_a_rule_that_is_sure_of_a_class_is_followed_at_every_effort_below_one(effort):
    losses = penalties(np.array([[0.0, 1.0, 0.0]]), "probs", effort, COSTS)
    assert losses.tolist() == [[FORBIDDEN, 0.0, 0.0]]


def test_a_fused_route_that_costs_more_is_no_answer_for_a_later_class():
    costs = Costs.of([[0.3, 0.8], [0.8], [1.0]], halo=4)  # 1.1, 0.8, 1.0
    losses = penalties(np.eye(3), "probs", 0.5, costs)
    assert losses.tolist() == [
        [0.0, FORBIDDEN, FORBIDDEN],
        [FORBIDDEN, 0.0, 0.0],
        [FORBIDDEN, FORBIDDEN, 0.0],
    ]


def test_losses_count_from_the_deepest_expert_not_from_a_fused_route_that_costs_more():
    costs = Costs.of([[0.4, 0.7], [0.7], [1.0]], halo=4)
    assert costs.routes == pytest.approx((1.1, 0.7, 1.0))
    assert costs.deepest == 2
    assert Costs.of([[0.3, 1.0], [1.0]], halo=4).deepest == 1  # of its routes the cheapest
    grid = Grid(40, 40, 16)
    scores = np.ones((grid.rows * grid.columns, 3))
    losses = penalties(scores, "errors", effort=1, costs=costs)
    assert (make_plan(losses, grid, costs, 1.0).routes == 2).all()


def test_a_cell_that_the_border_cuts_short_counts_for_its_pixels():
    scores = np.array([[3.0, 1.0], [3.0, 1.0]])
    losses = penalties(scores, "errors", 0.5, Costs((0.1, 1.0), 0), np.array([30.0, 10.0]))
    np.testing.assert_allclose(losses, [[2.25, 0.75], [0.75, 0.25]])
