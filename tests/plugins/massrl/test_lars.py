"""LARS, step for step against NumPy."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from mmsr_massrl.lars import Lars, parameter_groups

RATE, DECAY, MOMENTUM, TRUST = 0.3, 1e-2, 0.9, 1e-3


def by_numpy(weight, gradients, rates, plain):
    """The weight after every step, in doubles."""
    weight, moment, after = weight.astype(float), 0.0, []
    for gradient, rate in zip(gradients, rates, strict=True):
        update = gradient.astype(float)
        if not plain:
            update = update + DECAY * weight
            length, size = np.linalg.norm(weight), np.linalg.norm(update)
            if length > 0 and size > 0:
                update = update * TRUST * length / size
        moment = MOMENTUM * moment + update
        weight = weight - rate * moment
        after.append(weight)
    return after


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("start", ["random", "zero"])
def test_lars_is_its_formula_step_for_step(plain, start):
    rng = np.random.default_rng(0)
    shape = (4, 3, 3, 3)
    first = np.zeros(shape) if start == "zero" else rng.normal(size=shape)
    gradients = [rng.normal(size=shape).astype(np.float32) for _ in range(6)]
    gradients[2] = np.zeros(shape, np.float32)
    rates = [RATE, RATE / 2, RATE, 0.0, 1.0, 0.1]
    weight = nn.Parameter(torch.tensor(first, dtype=torch.float32))
    optimizer = Lars([{"params": [weight], "plain": plain}], RATE, DECAY, MOMENTUM, TRUST)
    for gradient, rate, expected in zip(
        gradients, rates, by_numpy(first, gradients, rates, plain), strict=True
    ):
        weight.grad = torch.from_numpy(gradient)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=2e-5, atol=1e-6)


def test_weights_of_one_group_are_adapted_each_by_its_own_norms():
    small, large = nn.Parameter(torch.full((2, 2), 0.1)), nn.Parameter(torch.full((2, 2), 10.0))
    optimizer = Lars([{"params": [small, large]}], 1.0, 0.0, 0.0, TRUST)
    small.grad, large.grad = torch.ones(2, 2), torch.full((2, 2), 7.0)
    optimizer.step()
    torch.testing.assert_close(small.detach(), torch.full((2, 2), 0.1 * (1 - TRUST)))
    torch.testing.assert_close(large.detach(), torch.full((2, 2), 10.0 * (1 - TRUST)))


def test_biases_and_norms_are_excluded():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    module[0].bias.requires_grad_(False)
    adapted, plain = parameter_groups(module)
    assert [id(p) for p in adapted["params"]] == [id(module[0].weight), id(module[3].weight)]
    assert [id(p) for p in plain["params"]] == [
        id(module[1].weight),
        id(module[1].bias),
        id(module[3].bias),
    ]
    assert plain["plain"]


def test_the_momentum_survives_a_checkpoint():
    weights = [nn.Parameter(torch.ones(3, 3)) for _ in range(2)]
    optimizers = [Lars([{"params": [weight]}], RATE) for weight in weights]
    for weight in weights:
        weight.grad = torch.ones(3, 3)
    optimizers[0].step()
    weights[1].data.copy_(weights[0].data)
    optimizers[1].load_state_dict(deepcopy(optimizers[0].state_dict()))
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(*weights)
