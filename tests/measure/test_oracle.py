import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import uniform_plan

from mmsr_core.measure.oracle import (
    BISECTIONS,
    STEPS,
    Point,
    Scene,
    cell_sums,
    crossing,
    find_oracle,
    frontier,
    judge,
    kept,
    perfect,
    route,
)
from mmsr_core.runtime.plan import Costs, make_plan, penalties
from mmsr_core.runtime.tiles import Grid

COSTS = Costs((0.05, 0.3, 1.0), 2)


def scene(seed, rows=5, columns=8):
    """Texture on the right, where dear routes are better; the left is flat, and easy for all."""
    rng = np.random.default_rng(seed)
    texture = rng.random((rows, columns)) * (np.arange(columns) >= rng.integers(1, columns))
    lost = np.array([1, 0.4, 0]) * texture.ravel()[:, None]
    return Scene(Grid(16 * rows - 3, 16 * columns, 16), 1e-5 + 1e-4 * lost)


def plans_of(scenes, scores, price, costs=COSTS):
    return [
        make_plan(penalties(score, "errors", 0.5, costs), one.grid, costs, price)
        for one, score in zip(scenes, scores, strict=True)
    ]


def test_the_dearest_route_everywhere_loses_nothing_and_costs_one():
    scenes = [scene(0), scene(1)]
    plans = [uniform_plan(one.grid, COSTS, 2) for one in scenes]
    point = judge(scenes, plans)
    assert (point.lost, point.cost) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    assert point.plans == tuple(plans)


def test_what_is_lost_is_the_mean_over_the_images_in_decibels():
    scenes = [scene(0), scene(1)]
    plans = [uniform_plan(one.grid, COSTS, 0) for one in scenes]
    ratios = [one.errors[:, 0].sum() / one.errors[:, 2].sum() for one in scenes]
    assert judge(scenes, plans).lost == pytest.approx(np.mean(10 * np.log10(ratios)))


def test_costs_count_from_the_dearest_route_whatever_its_unit():
    scenes = [scene(0)]
    plans = [uniform_plan(scenes[0].grid, Costs((0.1, 0.6, 2.0), 2), 1)]
    assert judge(scenes, plans).cost == pytest.approx(0.3)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0, 2), st.floats(1e-3, 3))
def test_the_oracle_is_never_worse_than_the_router(seed, noise, price):
    scenes = [scene(seed + index, rows=3) for index in range(2)]
    rng = np.random.default_rng(seed)
    scores = [one.errors * np.exp(noise * rng.normal(size=one.errors.shape)) for one in scenes]
    plans = plans_of(scenes, scores, price)
    oracle = find_oracle(scenes, plans)
    assert oracle.routed == judge(scenes, plans)
    assert oracle.at_cost.cost <= oracle.routed.cost
    assert oracle.at_cost.lost <= oracle.routed.lost
    assert oracle.at_quality.cost <= oracle.routed.cost
    assert oracle.at_quality.lost <= oracle.routed.lost
    assert oracle.kept is None or oracle.kept <= 1


def test_a_router_that_knows_every_error_keeps_the_whole_saving():
    scenes = [scene(seed) for seed in range(8)]
    plans = plans_of(scenes, [one.errors for one in scenes], 0.2)
    assert find_oracle(scenes, plans).kept == pytest.approx(1, abs=0.02)


def test_a_router_that_guesses_keeps_less():
    scenes = [scene(seed) for seed in range(8)]
    rng = np.random.default_rng(0)
    scores = [rng.permutation(one.errors) for one in scenes]
    found = find_oracle(scenes, plans_of(scenes, scores, 0.2)).kept
    assert found is not None
    assert found < 0.8


def test_where_the_dearest_route_is_needed_everywhere_nothing_is_kept_or_lost():
    errors = np.tile([1e-1, 1e-2, 1e-5], (20, 1))
    scenes = [Scene(Grid(32, 40, 8), errors)]
    plans = [uniform_plan(scenes[0].grid, COSTS, 2)]
    assert find_oracle(scenes, plans).kept is None


def test_images_without_any_error_are_no_division_by_zero():
    scenes = [Scene(Grid(32, 40, 8), np.zeros((20, 3)))]
    oracle = find_oracle(scenes, [uniform_plan(scenes[0].grid, COSTS, 0)])
    assert (oracle.routed.lost, oracle.kept) == (0, pytest.approx(1))


def test_the_share_kept_of_nothing_is_none():
    assert kept(0.8, 1.0) is None
    assert kept(0.8, 0.6) == pytest.approx(0.5)
    assert kept(1.1, 0.5) == pytest.approx(-0.2)


def test_a_larger_knob_is_dearer_and_loses_less():
    scenes = [scene(seed) for seed in range(6)]
    truth = [one.errors for one in scenes]
    points = [route(scenes, truth, "errors", knob, COSTS) for knob in (0, 0.25, 0.5, 0.75, 1)]
    assert [p.cost for p in points] == sorted(p.cost for p in points)
    assert [p.lost for p in points] == sorted((p.lost for p in points), reverse=True)


def line(knob):
    return Point(lost=1 - knob, cost=knob)


@given(st.floats(0.001, 0.999))
def test_the_crossing_is_closed_in_on_from_both_sides(tolerance):
    before, after = crossing(line, lambda point: point.lost <= tolerance)
    assert after.lost <= tolerance
    assert after.cost <= 1 - tolerance + 1.01 / STEPS / 2**BISECTIONS
    assert before is None or before.lost > tolerance


def test_a_family_that_never_reaches_has_no_member_after():
    before, after = crossing(line, lambda point: False)
    assert (before, after) == (Point(0, 1), None)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12))
def test_cell_sums_equal_a_loop(height, width, step):
    values = np.random.default_rng(height * 31 + width).random((height, width))
    naive = [
        values[top : top + step, left : left + step].sum()
        for top in range(0, height, step)
        for left in range(0, width, step)
    ]
    np.testing.assert_allclose(cell_sums(values, step), naive)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_a_frontier_gets_better_with_every_step_in_cost(seed):
    points = frontier(perfect([scene(seed), scene(seed + 1)], COSTS))
    costs, losses = ([getattr(point, what) for point in points] for what in ("cost", "lost"))
    assert costs == sorted(set(costs))
    assert losses == sorted(set(losses), reverse=True)


def test_a_dearer_point_that_is_no_better_is_not_on_the_frontier():
    points = {0.0: Point(1.0, 0.1), 1.0: Point(0.0, 1.0)}
    bump = Point(0.5, 1.2)
    assert frontier(lambda knob: points.get(knob, bump)) == (points[0.0], points[1.0])


def test_what_is_asked_twice_is_worked_out_once():
    family = perfect([scene(0)], COSTS)
    assert family(0.5) is family(0.5)
    plans = plans_of([scene(0)], [scene(0).errors], 0.2)
    assert find_oracle([scene(0)], plans, family) == find_oracle([scene(0)], plans)
