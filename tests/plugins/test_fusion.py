"""Fusion against Algorithm 1, pixel by pixel."""

import numpy as np
import pytest
import torch

from mmsr_core.errors import PluginError
from mmsr_fusion import register_fusers


def fuse(name, candidates, **options):
    (fuser,) = (f for f in register_fusers() if f.name == name)
    with torch.no_grad():
        return fuser.build(scale=2, **options).eval()(torch.from_numpy(candidates)).numpy()


def naive(first, second, threshold, smooth, texture):
    grey = np.pad(np.tensordot([0.299, 0.587, 0.114], first, 1), 1, mode="edge")
    fused = np.empty_like(first)
    for i in range(first.shape[1]):
        for j in range(first.shape[2]):
            window = grey[i : i + 3, j : j + 3]
            gx = window[:, 2] @ [1, 2, 1] - window[:, 0] @ [1, 2, 1]
            gy = window[2] @ [1, 2, 1] - window[0] @ [1, 2, 1]
            weight = texture if np.hypot(gx, gy) > threshold else smooth
            fused[:, i, j] = weight * first[:, i, j] + (1 - weight) * second[:, i, j]
    return fused


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.4, "smooth": 0.7, "texture": 0.3},
        {"threshold": 1.5, "smooth": 0.9, "texture": 0.2},
    ],
)
def test_edge_fusion_is_algorithm_1(options):
    candidates = np.random.default_rng(0).random((2, 2, 3, 9, 7), np.float32)
    candidates[0] = 0.5 + 0.1 * candidates[0]  # calm: both sides of the threshold occur
    expected = [naive(*pair, **options) for pair in candidates]
    np.testing.assert_allclose(fuse("edge", candidates, **options), expected, atol=1e-5)


def test_edge_fusion_takes_the_papers_weights_by_default():
    candidates = np.zeros((1, 2, 3, 8, 8), np.float32)
    candidates[:, 0, :, :, 4:] = 1  # an edge in candidate 1 between columns 3 and 4
    fused = fuse("edge", candidates)[0, 0, 0]
    np.testing.assert_allclose(fused, [0, 0, 0, 0, 0.3, 0.7, 0.7, 0.7], atol=1e-6)


def test_only_the_edges_of_candidate_1_count():
    candidates = np.zeros((1, 2, 3, 8, 8), np.float32)
    candidates[:, 1, :, :, 4:] = 1
    np.testing.assert_allclose(fuse("edge", candidates)[0, 0, 0, 4:], 0.3, atol=1e-6)


def test_edge_fusion_refuses_three_candidates():
    with pytest.raises(PluginError, match="joins two candidates, not 3"):
        fuse("edge", np.zeros((1, 3, 3, 8, 8), np.float32))


@pytest.mark.parametrize("options", [{"threshold": -1.0}, {"smooth": 1.5}, {"texture": -0.1}])
def test_edge_fusion_refuses_weights_that_are_none(options):
    with pytest.raises(PluginError, match="weights in \\[0,1\\]"):
        fuse("edge", np.zeros((1, 2, 3, 8, 8), np.float32), **options)


@pytest.mark.parametrize("k", [2, 3])
def test_the_mean_weighs_all_candidates_alike(k):
    candidates = np.random.default_rng(0).random((2, k, 3, 5, 6), np.float32)
    np.testing.assert_allclose(fuse("mean", candidates), candidates.mean(1), atol=1e-6)
