from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmsr_core.runtime.bundle import Effort
from mmsr_core.runtime.plan import (
    BLOCK,
    FORBIDDEN,
    OVERHEAD,
    Costs,
    calibrate,
    make_plan,
    penalties,
    price,
    uniform_plan,
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
    cells = BLOCK + 1
    plan = uniform_plan(Grid(8 * cells, 8 * cells, 8), COSTS, 1)
    assert sorted(region.box.area // 64 for region in plan.regions) == [1, BLOCK, BLOCK, BLOCK**2]
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


def test_price_is_linear_between_the_calibrated_points():
    knob = Effort(default=0.5, prices=((0.0, 2.0), (0.5, 1.0), (1.0, 0.0)))
    assert [price(e, knob) for e in (0.0, 0.25, 0.5, 0.75)] == [2.0, 1.5, 1.0, 0.5]


def test_price_is_one_where_nothing_was_to_calibrate():
    assert price(0.3, Effort(default=0.3)) == 1.0


def measured(seed, noise=0.3):
    """Three photographs: errors that fall with the route, and a router's noisy view of them."""
    rng = np.random.default_rng(seed)
    shapes = [(32, 48), (30, 34), (48, 16)]
    counts = [Grid(*shape, 16).rows * Grid(*shape, 16).columns for shape in shapes]
    images = np.repeat(np.arange(3), counts)
    gain = rng.gamma(0.4, 1.0, (sum(counts), 1)) * [1.0, 0.4, 0.0]
    errors = 1e-3 * rng.gamma(1.0, 1.0, (sum(counts), 1)) * np.exp(gain)
    predictions = errors * np.exp(rng.normal(0, noise, errors.shape))
    return predictions, errors, images, shapes


def lost(knob, output, predictions, errors, images, shapes):
    """dB that the default effort loses against the dearest route, mean over the photographs."""
    losses = []
    for index, shape in enumerate(shapes):
        mine, grid = images == index, Grid(*shape, 16)
        wanted = penalties(predictions[mine], output, knob.default, COSTS)
        plan = make_plan(wanted, grid, COSTS, price(knob.default, knob))
        true = errors[mine]
        got = true[np.arange(len(true)), plan.routes.ravel()].mean()
        losses.append(10 * np.log10(got / true[:, COSTS.deepest].mean()))
    return np.mean(losses)


@settings(max_examples=4)
@given(seeds, st.sampled_from([0.0, 0.01, 0.1]))
def test_the_default_effort_loses_at_most_the_tolerance_with_expected_errors(seed, tolerance):
    data = measured(seed)
    knob = calibrate(*data, COSTS, 16, "errors", tolerance)
    assert lost(knob, "errors", *data) <= tolerance + 1e-9


@settings(max_examples=4)
@given(seeds, st.sampled_from([0.0, 0.01, 0.1]))
def test_the_default_effort_loses_at_most_the_tolerance_with_probabilities(seed, tolerance):
    predictions, errors, images, shapes = measured(seed)
    probs = 1 / predictions / (1 / predictions).sum(1, keepdims=True)
    knob = calibrate(probs, errors, images, shapes, COSTS, 16, "probs", tolerance)
    assert lost(knob, "probs", probs, errors, images, shapes) <= tolerance + 1e-9


@settings(max_examples=4)
@given(seeds)
@example(233776)  # without a price, this one's expected errors still prefer a cheaper route
def test_prices_fall_as_effort_rises_from_nothing_to_all(seed):
    knob = calibrate(*measured(seed), COSTS, 16, "errors", 0.02)
    efforts, prices = np.array(knob.prices).T
    assert (np.diff(efforts) > 0).all()
    assert (np.diff(prices) < 0).all()
    assert (efforts[0], efforts[-1]) == (0, 1)


def test_a_photograph_without_any_error_can_be_calibrated_on():
    predictions, errors, images, shapes = measured(0, noise=0)
    errors[images == 0] = 0
    knob = calibrate(predictions, errors, images, shapes, COSTS, 16, "errors", 0.02)
    assert knob.default < 1


def test_a_hopeless_router_makes_the_dearest_route_the_default():
    _, errors, images, shapes = measured(0)
    upside_down = 1 / errors
    knob = calibrate(upside_down, errors, images, shapes, COSTS, 16, "errors", 0.0)
    assert knob.default == 1


def test_losses_count_from_the_deepest_expert_not_from_a_fused_route_that_costs_more():
    costs = Costs.of([[0.4, 0.7], [0.7], [1.0]], halo=4)
    assert costs.routes == pytest.approx((1.1, 0.7, 1.0))
    assert costs.deepest == 2
    assert Costs.of([[0.3, 1.0], [1.0]], halo=4).deepest == 1  # of its routes the cheapest
    grid = Grid(40, 40, 16)
    scores = np.ones((grid.rows * grid.columns, 3))
    losses = penalties(scores, "errors", effort=1, costs=costs)
    assert (make_plan(losses, grid, costs, 1.0).routes == 2).all()
