import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.plugin.components import RouterData
from mmsr_core.train.depths import Beside, depth_table, with_experts, without_experts

ROUTES = {"SIMPLE": (("small", "large"), "edge"), "COMPLEX": (("large",), None)}


class Mean(nn.Module):
    names = ("mean",)

    def forward(self, tiles):
        return tiles.mean((1, 2, 3))[:, None]


@pytest.fixture
def data():
    """Four tiles; columns SIMPLE, COMPLEX, and the experts small and large by themselves."""
    errors = np.array(
        [
            [1e-4, 1e-4, 1e-4, 1e-4],
            [2e-4, 2e-4, 1e-4, 2e-4],
            [5e-3, 1e-3, 9e-3, 1e-3],
            [5e-3, 3e-3, 9e-3, 3e-3],
        ]
    )
    return RouterData(
        features=np.arange(8, dtype=np.float32).reshape(4, 2),
        names=("mean", "tvat beside"),
        errors=errors,
        labels=np.zeros(4, np.int64),
        costs=np.array([1.0, 0.8, 0.2, 0.8]),
        images=np.zeros(4, np.int64),
        shapes=np.array([[16, 64]]),
        photos=np.array([0]),
        classes=tuple(with_experts(ROUTES, ["small", "large"])),
    )


def test_every_expert_becomes_a_route_of_its_own(data):
    assert with_experts(ROUTES, ["small", "large"])["expert small"] == (("small",), None)
    assert data.classes == ("SIMPLE", "COMPLEX", "expert small", "expert large")


def test_the_routes_are_left_as_if_measured_alone(data):
    routes = without_experts(data, features=1, epsilon=0.05)
    assert routes.classes == ("SIMPLE", "COMPLEX")
    assert routes.names == ("mean",)
    assert routes.features.tolist() == [[0], [2], [4], [6]]
    assert routes.errors.tolist() == data.errors[:, :2].tolist()
    assert routes.costs.tolist() == [1.0, 0.8]
    assert routes.labels.tolist() == [1, 1, 1, 1]  # COMPLEX is cheaper here, and never worse


def test_the_table_says_how_good_each_expert_is_on_each_class_and_how_often_it_wins(data):
    table = depth_table(data, np.array([0, 0, 1, 1]), ["SIMPLE", "COMPLEX"])
    assert table["experts"] == ["small", "large"]
    assert table["tiles"] == [2, 2]
    assert table["psnr_y"][0] == pytest.approx([40, 38.239], abs=1e-3)
    assert table["psnr_y"][1] == pytest.approx([20.458, 26.990], abs=1e-3)
    assert table["wins"] == [[1.0, 0.0], [0.0, 1.0]]  # of equals the cheaper one wins


def test_a_class_without_tiles_has_no_figures(data):
    table = depth_table(data, np.zeros(4, np.int64), ["SIMPLE", "COMPLEX"])
    assert table["tiles"] == [4, 0]
    assert table["psnr_y"][1] is None
    assert table["wins"][1] is None


def test_extractors_side_by_side_keep_their_order():
    both = Beside(Mean(), Mean())
    assert both.names == ("mean", "mean beside")
    tiles = torch.rand(3, 3, 8, 8)
    assert torch.equal(both(tiles), Mean()(tiles).repeat(1, 2))


def test_a_name_that_three_extractors_share_stays_distinct():
    assert Beside(Mean(), Mean(), Mean()).names == ("mean", "mean beside", "mean beside beside")
