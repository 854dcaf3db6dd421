from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.measure.report.schedule import EXACT, shortest

SECONDS = st.lists(st.floats(0, 1e6), min_size=1, max_size=12)
WORKERS = st.integers(1, 6)


def brute_force(seconds, workers):
    """Every way to give the jobs to workers, tried."""
    ways = product(range(workers), repeat=len(seconds))
    return min(
        max(sum(s for s, w in zip(seconds, way, strict=True) if w == worker) for worker in range(6))
        for way in ways
    )


@given(SECONDS, WORKERS)
def test_workers_never_take_longer_than_one_alone(seconds, workers):
    assert shortest(seconds, workers) <= sum(seconds) * (1 + 1e-12)


@given(SECONDS, WORKERS)
def test_workers_are_never_quicker_than_the_longest_job_or_an_even_share(seconds, workers):
    least = max(max(seconds), sum(seconds) / workers)
    assert shortest(seconds, workers) >= least * (1 - 1e-12)


@given(SECONDS, WORKERS)
def test_one_more_worker_never_takes_longer(seconds, workers):
    if len(seconds) <= EXACT:
        assert shortest(seconds, workers + 1) <= shortest(seconds, workers) * (1 + 1e-12)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 3))
def test_the_packing_is_the_best_there_is(seconds, workers):
    assert shortest(seconds, workers) == brute_force(seconds, workers)


def test_longest_first_would_miss_the_best_packing():
    assert shortest([3, 3, 2, 2, 2], 2) == 6  # longest first takes 7


def test_many_jobs_are_at_most_a_third_from_an_even_share():
    seconds = [float(1 + index % 7) for index in range(40)]
    even = sum(seconds) / 3
    assert even <= shortest(seconds, 3) <= even * 4 / 3


def test_more_workers_than_jobs_wait_for_the_longest():
    assert shortest([5.0, 9.0, 2.0], 1_000_000_000) == 9.0


def test_the_three_nodes_of_the_2019_paper():
    seconds = [1730.0, 3000.0, 5894.8]
    assert 17171.3 / shortest(seconds, 1) == pytest.approx(1.6, abs=0.05)
    assert 17171.3 / shortest(seconds, 3) == pytest.approx(2.9, abs=0.05)
