import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.data import Pair
from mmsr_core.train.measure import (
    cell_errors,
    count_macs,
    measure_routes,
    route_costs,
)

BT601 = np.array([65.481, 128.553, 24.966]) / 255


class Nearest(nn.Module):
    """Doubles an image; `shade` is added."""

    def __init__(self, shade=0.0):
        super().__init__()
        self.shade = shade

    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=2) + self.shade


class Mean(nn.Module):
    names = ("mean",)

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None]


def naive_cell_errors(answer, truth, cell):
    difference = np.tensordot((answer - truth)[0].transpose(1, 2, 0), BT601, 1)
    height, width = difference.shape
    return [
        np.mean(difference[top : top + cell, left : left + cell] ** 2)
        for top in range(0, height, cell)
        for left in range(0, width, cell)
    ]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(8, 17), st.integers(2, 4))
def test_cell_errors_equal_a_loop_over_cells_at_any_size(height, width, cell, scale):
    rng = np.random.default_rng(height * 41 + width)
    answer, truth = rng.random((2, 1, 3, height * scale, width * scale), np.float32)
    fast = cell_errors(torch.from_numpy(answer), torch.from_numpy(truth), Grid(height, width, cell))
    np.testing.assert_allclose(fast, naive_cell_errors(answer, truth, cell * scale), 1e-5, 1e-8)


def test_macs_count_every_use_of_a_weight():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=2),
        nn.Conv2d(8, 8, 3, padding=1, groups=4),
        nn.ConvTranspose2d(8, 5, 4, stride=2, padding=1),
    )
    per_coarse_pixel = 8 * 3 * 9 + 8 * 2 * 9 + 8 * 5 * 16
    assert count_macs(net) == per_coarse_pixel / 4


def test_counting_leaves_no_hook_behind():
    net = nn.Sequential(nn.Conv2d(3, 3, 1))
    count_macs(net)
    assert not net[0]._forward_hooks


def test_the_dearest_route_costs_one_and_a_fused_route_both_its_experts():
    experts = {"a": nn.Conv2d(3, 1, 1), "b": nn.Conv2d(3, 4, 1)}
    routes = {"A": (("a",), None), "AB": (("a", "b"), "mean"), "B": (("b",), None)}
    assert route_costs(experts, routes).tolist() == pytest.approx([0.2, 1, 0.8])


def test_experts_without_any_weight_cost_nothing():
    assert route_costs({"a": Nearest()}, {"A": (("a",), None)}).tolist() == [0]


@pytest.fixture
def measured():
    """Two photographs of 20×33 LR pixels, measured on a perfect route, a bad and a fused one."""
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 200, (2, 20, 33, 3), np.uint8)
    pairs = [
        Pair(x, x.repeat(2, 0).repeat(2, 1), photo) for photo, x in zip((7, 4), lr, strict=True)
    ]
    routes = {
        "FUSED": (("exact", "bright"), "first"),
        "BAD": (("bright",), None),
        "GOOD": (("exact",), None),
    }

    class First(nn.Module):
        def forward(self, candidates):
            return candidates[:, 0]

    experts = {"exact": Nearest(), "bright": Nearest(0.1)}
    seen = []
    data = measure_routes(
        pairs, experts, {"first": First()}, routes, Mean(), 16, 0.05, lambda *at: seen.append(at)
    )
    assert seen == [(1, 2), (2, 2)]
    return data, lr


def test_every_photograph_is_cut_again_from_half_a_cell_in(measured):
    data, _ = measured  # 20 rows are too few for a whole cell below half a cell
    assert data.images.tolist() == [0] * 6 + [1] * 4 + [2] * 6 + [3] * 4
    assert data.photos.tolist() == [7, 7, 4, 4]
    assert data.shapes.tolist() == [[20, 33], [20, 25], [20, 33], [20, 25]]
    assert data.classes == ("FUSED", "BAD", "GOOD")


def test_the_errors_are_those_of_each_route(measured):
    data, _ = measured
    shade = (0.1 * BT601.sum()) ** 2
    np.testing.assert_allclose(data.errors, [[0, shade, 0]] * 20, atol=1e-7)


def test_the_features_describe_the_cells_in_their_order(measured):
    data, lr = measured
    assert data.names == ("mean",)
    assert data.features[11, 0] == pytest.approx(lr[1, :16, 16:32].mean() / 255, abs=1e-5)
    assert data.features[16, 0] == pytest.approx(lr[1, :16, 8:24].mean() / 255, abs=1e-5)
