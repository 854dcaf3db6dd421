from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmsr_core.train.prepare.prune import Thresholds, calibrate, three_scores

shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("etvat", "edge", "limited", "pruned"),
    [
        ("flat", "flat", "flat", True),
        ("flat", "flat", "rich", True),
        ("flat", "rich", "flat", True),
        ("flat", "rich", "rich", False),
        ("rich", "flat", "flat", False),
        ("rich", "flat", "rich", False),
        ("rich", "rich", "flat", False),
        ("rich", "rich", "rich", False),
    ],
)
def test_a_tile_falls_when_etvat_and_an_edge_score_vote_flat(etvat, edge, limited, pruned):
    score = {"flat": 0.5, "rich": 2.0}
    tile = np.array([[score[etvat], score[edge], score[limited]]])
    assert Thresholds(1.0, 1.0, 1.0).prune(tile).tolist() == [pruned]


def test_a_score_equal_to_its_threshold_does_not_vote_flat():
    tiles = np.array([[1.0, 0, 0], [0, 1.0, 1.0], [np.nextafter(1, 0), 0, 0]])
    assert Thresholds(1.0, 1.0, 1.0).prune(tiles).tolist() == [False, False, True]


def test_a_threshold_of_zero_never_votes():
    assert not Thresholds(1.0, 0.0, 0.0).prune(np.zeros((1, 3))).any()
    assert Thresholds(1.0, 1.0, 0.0).prune(np.zeros((1, 3))).all()


def test_etvat_is_the_mean_of_its_channels_wherever_their_columns_are():
    names = ("limited_edge_score", "etvat_b", "tvat", "etvat_r", "edge_score", "etvat_g")
    scores = np.array([[7, 3, 99, 1, 5, 2]], np.float32)
    assert three_scores(scores, names).tolist() == [[2, 5, 7]]


@given(seeds, st.integers(2, 300), shares)
def test_distinct_scores_are_pruned_to_within_a_tile_and_a_half_of_the_share(seed, count, share):
    scores = np.random.default_rng(seed).permuted(np.tile(np.arange(count), (3, 1)), axis=1).T
    thresholds, _ = calibrate(scores.astype(float), share)
    pruned = int(thresholds.prune(scores).sum())
    # A level adds three tiles at most; the last three levels can't be taken: something stays.
    assert abs(pruned - share * count) <= 1.5 or pruned >= count - 3


@given(seeds, st.integers(2, 300), shares)
def test_when_the_scores_agree_the_share_is_met_to_the_tile(seed, count, share):
    scores = np.repeat(np.random.default_rng(seed).permutation(count)[:, None], 3, axis=1)
    thresholds, quantile = calibrate(scores.astype(float), share)
    pruned = int(thresholds.prune(scores).sum())
    assert abs(pruned - share * count) <= 0.5 or pruned == count - 1
    assert quantile == pruned / count


@given(arrays(np.float64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.integers(0, 5)))
def test_a_larger_share_never_prunes_fewer_tiles_and_one_always_stays(scores):
    pruned = [calibrate(scores, share)[0].prune(scores) for share in (0.1, 0.4, 0.7, 0.99)]
    for less, more in pairwise(pruned):
        assert not (less & ~more).any()
    assert not pruned[-1].all()


@given(arrays(np.float64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.integers(0, 5)))
def test_no_other_common_quantile_comes_nearer_to_the_share(scores):
    ordered = np.sort(scores, axis=0)
    misses = [
        abs(Thresholds(*ordered[level]).prune(scores).sum() - 0.42 * len(scores))
        for level in range(len(scores))
    ]
    reached = calibrate(scores, 0.42)[0].prune(scores).sum()
    assert abs(reached - 0.42 * len(scores)) == min(misses)
