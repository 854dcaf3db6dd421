import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.train.labels import FLOOR, cheapest_within

seeds = st.integers(0, 2**32 - 1)
epsilons = st.floats(0.001, 3)


def draw(seed):
    """Errors (20,4) from nothing to 0 dB, and costs among which some are equal."""
    rng = np.random.default_rng(seed)
    errors = 10 ** (rng.uniform(-11, 0, (20, 1)) + rng.uniform(-0.3, 0, (20, 4)))
    return errors, rng.integers(1, 6, 4) / 5


def decibels(errors):
    return -10 * np.log10(np.maximum(errors, FLOOR))


@settings(deadline=None)
@given(seeds, epsilons)
def test_a_label_is_within_epsilon_of_the_best_route(seed, epsilon):
    errors, costs = draw(seed)
    psnr = decibels(errors)
    chosen = np.take_along_axis(psnr, cheapest_within(errors, costs, epsilon)[:, None], 1)
    assert np.all(chosen >= psnr.max(axis=1, keepdims=True) - epsilon - 1e-9)


@settings(deadline=None)
@given(seeds, epsilons)
def test_no_cheaper_route_is_within_epsilon_of_the_best(seed, epsilon):
    errors, costs = draw(seed)
    psnr = decibels(errors)
    chosen = costs[cheapest_within(errors, costs, epsilon)]
    good = psnr > psnr.max(axis=1, keepdims=True) - epsilon + 1e-9
    assert np.all(np.where(good, costs, np.inf) >= chosen[:, None])


def test_a_cheap_route_just_outside_epsilon_is_not_taken():
    costs = np.array([0.1, 1.0])
    errors = np.array([[10**0.0049, 1.0], [10**0.0051, 1.0]]) * 1e-3
    assert cheapest_within(errors, costs, 0.05).tolist() == [0, 1]


def test_differences_that_nobody_sees_do_not_pay():
    assert cheapest_within(np.array([[1e-11, 0.0]]), np.array([0.1, 1.0]), 0.05).tolist() == [0]
