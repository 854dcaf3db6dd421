from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.measure.oracle import Scene
from mmsr_core.plugin.components import RouterData
from mmsr_core.runtime.plan import Costs
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.study.rules import (
    best_thresholds,
    label_shares,
    quantile_thresholds,
    shares_below,
)

COSTS = Costs((0.1, 0.4, 1.0), 2)


def make_data(scores, labels=None, errors=None):
    """One row of cells whose feature `tvat` is `scores`."""
    count = len(scores)
    return RouterData(
        features=np.stack([np.zeros(count), scores], axis=1).astype(np.float32),
        names=("noise", "tvat"),
        errors=np.ones((count, 3)) if errors is None else errors,
        labels=np.zeros(count, int) if labels is None else np.asarray(labels),
        costs=np.array(COSTS.routes),
        images=np.zeros(count, int),
        shapes=np.array([[8, 8 * count]]),
        photos=np.array([0]),
        classes=("SIMPLE", "MODERATE", "COMPLEX"),
    )


def band(scores, thresholds):
    return (np.asarray(scores)[:, None] >= thresholds).sum(axis=1)


def test_half_way_every_class_gets_its_share_of_the_labels():
    data = make_data(np.arange(100), np.repeat([0, 1, 2], [20, 50, 30]))
    thresholds = quantile_thresholds(data, "tvat", label_shares(data), 0.5)
    assert np.bincount(band(data.features[:, 1], thresholds)).tolist() == [20, 50, 30]


def test_a_larger_knob_sends_fewer_tiles_to_the_cheap_classes():
    data = make_data(np.arange(100), np.repeat([0, 1, 2], [20, 50, 30]))
    knobs = (0.0, 0.2, 0.5, 0.8, 0.99)
    below = label_shares(data)
    cuts = [quantile_thresholds(data, "tvat", below, knob) for knob in knobs]
    bands = [band(data.features[:, 1], thresholds) for thresholds in cuts]
    assert [found.mean() for found in bands] == sorted(found.mean() for found in bands)
    assert (bands[0][:-1] == 0).all()  # the largest value is on the threshold, so above it
    assert (bands[-1][1:] == 2).all()


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=9),
    st.integers(0, 10_000),
    st.floats(0.001, 5),
)
def test_no_thresholds_are_better_than_the_best(scores, seed, price):
    rng = np.random.default_rng(seed)
    count = len(scores)
    scene = Scene(Grid(8, 8 * count, 8), rng.random((count, 3)) / count)
    values = scene.errors / scene.errors[:, 2].sum() + price * np.array(COSTS.routes) / count

    def total(thresholds):
        return values[np.arange(count), band(scores, thresholds)].sum()

    found = best_thresholds(make_data(scores), [scene], "tvat", COSTS, price)
    places = [*sorted(set(scores)), np.inf]
    least = min(total(np.array(pair)) for pair in combinations_with_replacement(places, 2))
    assert found[0] <= found[1]
    assert total(found) == pytest.approx(least)


def test_cheap_time_makes_dear_bands():
    rng = np.random.default_rng(0)
    scores = rng.random(50)
    errors = (0.1 + scores[:, None] * np.array([2, 1, 0])) / 50
    scenes = [Scene(Grid(8, 8 * 50, 8), errors)]
    data = make_data(scores)
    cheap, dear = (best_thresholds(data, scenes, "tvat", COSTS, price) for price in (50, 1e-4))
    assert (band(data.features[:, 1], cheap) == 0).all()
    assert (band(data.features[:, 1], dear) == 2).all()


@given(st.lists(st.integers(0, 50), min_size=4, max_size=40, unique=True), st.data())
def test_shares_below_thresholds_give_the_same_bands_back(scores, data):
    measured = make_data(sorted(scores))
    cuts = sorted(data.draw(st.lists(st.sampled_from(scores), min_size=2, max_size=2)))
    below = shares_below(measured, "tvat", np.array(cuts, np.float64))
    again = shares_below(measured, "tvat", quantile_thresholds(measured, "tvat", below, 0.5))
    np.testing.assert_allclose(again, below, atol=1.5 / len(scores))
