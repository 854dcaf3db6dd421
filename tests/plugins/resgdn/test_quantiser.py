import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.errors import PluginError
from mmsr_core.runtime.codec.quantiser import Quantiser, Rounding
from mmsr_resgdn.quantiser import Grid, quantised, stochastically


def maps(seed, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 6, 7, generator=generator) + offset


def test_a_channel_from_minus_one_to_two_gets_the_levels_of_equation_4():
    codes = torch.tensor([-1.0, -0.4, 0.0, 0.6, 2.0]).reshape(1, 1, 1, 5)
    grid = Grid.of(codes, 2)
    assert (grid.step.item(), grid.zero.item()) == (1.0, 1.0)
    assert grid.levels(codes).flatten().tolist() == [0, 1, 1, 2, 3]
    assert quantised(codes, grid).flatten().tolist() == [-1, 0, 0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000), st.floats(-3, 3))
def test_rounding_to_the_nearest_is_off_by_half_a_step_at_most(bits, seed, offset):
    codes = maps(seed, offset)
    grid = Grid.of(codes, bits)
    assert ((quantised(codes, grid) - codes).abs() <= grid.step * 1.001).all()
    inner = (grid.levels(codes) > 0) & (grid.levels(codes) < 2**bits - 1)
    assert ((quantised(codes, grid) - codes).abs() <= grid.step * 0.501)[inner].all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000), st.floats(-3, 3))
def test_zero_has_a_level_of_its_own(bits, seed, offset):
    grid = Grid.of(maps(seed, offset), bits)
    assert (grid.values(grid.levels(torch.zeros_like(maps(seed)))) == 0).all()
    assert ((grid.zero >= 0) & (grid.zero < 2**bits)).all()


def test_a_channel_of_zeros_stays_zero():
    zeros = torch.zeros(1, 2, 3, 3)
    assert (quantised(zeros, Grid.of(zeros, 4)) == 0).all()


def test_stochastic_rounding_is_right_on_average():
    torch.manual_seed(0)
    codes = torch.tensor([-1.0, -0.3, 0.0, 0.2, 0.7, 2.0]).reshape(1, 1, 1, 6)
    grid = Grid.of(codes, 2)
    mean = torch.stack([stochastically(codes, grid) for _ in range(8_000)]).mean(0)
    assert torch.allclose(mean[..., 1:-1], codes[..., 1:-1], atol=0.02)


@pytest.mark.parametrize("rounded", [stochastically, quantised])
def test_the_gradient_passes_straight_through(rounded):
    codes = maps(0).requires_grad_()
    weight = torch.randn(2, 3, 6, 7)
    (rounded(codes, Grid.of(codes, 2)) * weight).sum().backward()
    assert torch.allclose(codes.grad, weight, rtol=1e-6, atol=0)


def test_training_s_levels_are_those_that_a_file_holds():
    codes = maps(5)[:1].half().float()  # a file's bounds are float16
    for bits in range(1, 9):
        own = Quantiser.fitted(bits, codes[0].numpy()).quantised(codes[0].numpy())
        assert np.array_equal(Grid.of(codes, bits).levels(codes)[0].numpy(), own)


@pytest.mark.parametrize("scales", [np.ones((2, 3)), [[0.5, 1, 2], [0.4, 1.1, 2]]])
def test_a_fixed_range_s_levels_are_those_that_a_file_holds(scales):
    codes = 5 * maps(5)[:1]
    scales = np.asarray(scales, np.float32)
    for bits in range(1, 9):
        fixed = Rounding(14, scales={bits: scales}).fixed(bits, 3)
        grid = Grid.fixed(14, bits, torch.from_numpy(scales))
        assert np.array_equal(grid.levels(codes)[0].numpy(), fixed.quantised(codes[0].numpy()))
        seen = fixed.codes(fixed.quantised(codes[0].numpy()))
        assert np.allclose(quantised(codes, grid)[0].numpy(), seen, atol=1e-6)


@pytest.mark.parametrize("bits", [0, 9])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(PluginError, match="1 to 8"):
        Grid.of(maps(0), bits)
