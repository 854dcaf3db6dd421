"""Networks that round as their 8-bit form does, and learn so."""

import numpy as np
import pytest
import torch
from forms import answer, photographs
from torch import nn
from torch.nn import functional as F

from mmsr_compact.network import Compact
from mmsr_core.errors import ExportError
from mmsr_onnx.eightbit import quantize_module
from mmsr_onnx.rounding import RoundedWeight, quantize_rounded, rounding

SEEN = photographs()


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Compact(2, 2, 8)
    nn.init.normal_(made.tail.weight, std=0.05)
    return made.eval()


def test_it_answers_as_the_8_bit_graph_and_not_as_the_network(network):
    tiles = torch.from_numpy(photographs(1)[0])
    exact, rounded = network(tiles), rounding(network, SEEN)(tiles)
    graph = torch.from_numpy(answer(quantize_module(network, SEEN), tiles.numpy()))
    off = (graph - exact).abs().mean()
    assert (rounded - graph).abs().mean() < 0.6 * off  # a bias of 32 bits moves what is rounded
    torch.testing.assert_close((rounded - exact).abs().mean(), off, rtol=0.2, atol=0)


def test_tiles_of_any_size_and_number_pass(network):
    rounded = rounding(network, SEEN)
    for shape in ((1, 3, 7, 9), (3, 3, 20, 12)):
        assert rounded(torch.rand(shape)).shape == (*shape[:2], 2 * shape[2], 2 * shape[3])


def test_the_network_can_load_what_it_learns(network):
    rounded = rounding(network, SEEN)
    assert network.state_dict().keys() <= rounded.state_dict().keys()


def test_the_network_itself_does_not_change(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rounded = rounding(network, SEEN)
    with torch.no_grad():
        for value in rounded.parameters():
            value.add_(1)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_every_weight_has_a_gradient(network):
    rounded = rounding(network, SEEN).train()
    rounded(torch.rand(2, 3, 16, 16)).square().mean().backward()
    assert all(value.grad.abs().sum() > 0 for value in rounded.parameters())


def test_weights_are_rounded_to_7_bits_of_each_output_channel():
    weight = torch.randn(4, 8, 3, 3)
    weight[2] = 0
    numbers = RoundedWeight()(weight)
    steps = weight.abs().amax((1, 2, 3)) / 64
    assert numbers[2].eq(0).all()
    whole = numbers[[0, 1, 3]] / steps[[0, 1, 3], None, None, None]
    torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)
    assert (numbers - weight).abs().max() <= 0.5001 * steps.max()


def test_what_sees_the_image_itself_is_not_rounded():
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Conv2d(3, 8, 3, padding=1)

        def forward(self, x):
            return F.pixel_shuffle(self.head(x)[:, :4].repeat(1, 3, 1, 1), 2)

    with pytest.raises(ExportError, match="no convolution has 8 input channels"):
        rounding(First(), SEEN)


def test_a_network_that_torch_cannot_trace_is_one_line():
    class Moody(nn.Module):
        def forward(self, x):
            return x if x.mean() > 0 else -x

    with pytest.raises(ExportError, match="torch can't trace it") as caught:
        rounding(Moody(), SEEN)
    assert "\n" not in str(caught.value)


def test_normalisation_is_refused():
    with pytest.raises(ExportError, match="normalisation"):
        rounding(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), SEEN)


def test_the_graph_of_what_was_learnt_keeps_the_ranges_of_learning(network):
    rounded = rounding(network, SEEN)
    with torch.no_grad():
        for value in rounded.parameters():
            value.mul_(3)  # far beyond the ranges, where both have to cut off
    network.load_state_dict(rounded.state_dict(), strict=False)
    tiles = torch.from_numpy(photographs(1)[0])
    graph = torch.from_numpy(answer(quantize_rounded(network, rounded), tiles.numpy()))
    exact = network(tiles)
    assert (graph - rounded(tiles)).abs().mean() < 0.1 * (exact - rounded(tiles)).abs().mean()


def test_ranges_come_from_the_tiles(network):
    dark = [np.zeros((1, 3, 16, 16), np.float32)]
    scales = [
        max(
            float(value)
            for name, value in rounding(network, seen).named_buffers()
            if name.endswith("scale")
        )
        for seen in (dark, SEEN)
    ]
    assert scales[0] < scales[1]
