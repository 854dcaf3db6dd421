"""The router's own time, counted in what a plan costs."""

from dataclasses import replace

import numpy as np
import pytest

from mmsr_core.measure.oracle import Scene, find_oracle
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.plan import Costs, costs_of, make_plan
from mmsr_core.runtime.tiles import Grid

GRID = Grid(32, 32, 8)
COSTS = Costs((0.25, 1.0), 0)
LOSSES = np.tile([0.0, 1.0], (16, 1))


def test_a_plan_pays_for_its_router_and_is_no_other_plan_for_it():
    asked = replace(COSTS, router=0.1)
    free, paid = make_plan(LOSSES, GRID, COSTS, 1.0), make_plan(LOSSES, GRID, asked, 1.0)
    assert (free.routes == paid.routes).all()
    assert paid.cost == pytest.approx(free.cost + 0.1)
    assert paid.work == free.work == pytest.approx(0.25 * 32 * 32)


def test_the_oracle_takes_no_time_so_a_slow_router_keeps_less_of_its_saving():
    scene = Scene(GRID, np.tile([1e-4, 1e-4], (16, 1)) / 16)
    slow = replace(COSTS, router=0.3)
    for costs, kept in ((COSTS, 1.0), (slow, 1 - 0.3 / 0.75)):
        oracle = find_oracle([scene], [make_plan(LOSSES, GRID, costs, 1.0)])
        assert oracle.at_quality.cost == pytest.approx(0.25)
        assert oracle.kept == pytest.approx(kept)


def test_a_manifest_states_it_or_says_that_nobody_measured_it(facts):
    assert costs_of(Manifest.model_validate(facts), 0).router == 0
    facts["router"]["cost"] = 0.2
    assert costs_of(Manifest.model_validate(facts), 0).router == 0.2


def test_an_engine_charges_it_only_where_it_asks(upscaler):
    engine = Engine.open(upscaler)
    router = engine.manifest.router.model_copy(update={"cost": 0.5})
    engine.manifest = engine.manifest.model_copy(update={"router": router})
    image = np.random.default_rng(0).random((40, 48, 3), np.float32)
    routed, plain = engine.upscale(image, effort=0.5), engine.upscale(image, effort=1)
    assert routed.plan.costs.router == 0.5
    assert plain.plan.cost == pytest.approx(1.0)
