"""What the effort knob means, and that it keeps its word."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmsr_core.runtime.bundle import Effort
from mmsr_core.runtime.plan import Costs, calibrate, make_plan, penalties, price
from mmsr_core.runtime.tiles import Grid

COSTS = Costs((0.05, 0.3, 1.0), halo=4)
seeds = st.integers(0, 2**32 - 1)


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
        wanted = penalties(predictions[mine], output, knob.default, COSTS, grid.areas)
        plan = make_plan(wanted, grid, COSTS, price(knob.default, knob))
        true = errors[mine]
        got = grid.areas @ true[np.arange(len(true)), plan.routes.ravel()]
        losses.append(10 * np.log10(got / (grid.areas @ true[:, COSTS.deepest])))
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
