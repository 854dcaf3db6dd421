"""The objective, the target and the schedules, on fixed tensors and step for step."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsr_massrl.byol import Byol, kept, learning_rate, negative_cosine, spread
from mmsr_massrl.encoder import Config, Encoder


@pytest.fixture
def byol():
    torch.manual_seed(0)
    return Byol(Encoder(Config()), 32, 16)


def normalised(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_loss_of_fixed_rows_is_equation_2():
    prediction = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    target = torch.tensor([[4.0, 3.0], [-2.0, 0.0], [5.0, 0.0]])
    assert negative_cosine(prediction, target).item() == pytest.approx(-(24 / 25 - 1 + 0) / 3)


def test_the_loss_of_two_views_is_equation_3(byol):
    views = [torch.rand(6, 3, 32, 32), torch.rand(6, 3, 32, 32)]
    loss, _ = byol(views)
    with torch.no_grad():
        online = [
            normalised(byol.predictor(byol.projector(byol.encoder(v))).numpy()) for v in views
        ]
        target = [normalised(byol.target(v).numpy()) for v in views]
    one, other = ((online[i] * target[1 - i]).sum(axis=1).mean() for i in (0, 1))
    assert loss.item() == pytest.approx(-(one + other) / 2, abs=1e-5)


def test_more_views_each_predict_every_other(byol):
    views = [torch.rand(6, 3, 32, 32) for _ in range(3)]
    loss, _ = byol(views)
    pairs = [byol([views[i], views[j]])[0].item() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert loss.item() == pytest.approx(sum(pairs) / 3, abs=1e-5)


def test_no_gradient_reaches_the_target(byol):
    byol([torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)])[0].backward()
    assert all(weight.grad is None for weight in byol.target.parameters())
    assert all(weight.grad is not None for weight in byol.encoder.parameters())
    assert all(weight.grad is not None for weight in byol.predictor.parameters())


def test_the_target_starts_as_the_online_network_and_follows_it_step_for_step(byol):
    online = [*byol.encoder.parameters(), *byol.projector.parameters()]
    expected = [weight.detach().numpy().astype(float) for weight in online]
    for step in range(5):
        with torch.no_grad():
            for weight in online:
                weight.add_(torch.randn_like(weight) * 0.1)
        keep = kept(step, 5, 0.9)
        byol.follow(keep)
        expected = [
            keep * old + (1 - keep) * weight.detach().numpy()
            for old, weight in zip(expected, online, strict=True)
        ]
        for weight, wanted in zip(byol.target.parameters(), expected, strict=True):
            np.testing.assert_allclose(weight.numpy(), wanted, atol=1e-5)


def test_the_target_keeps_tau_at_first_and_all_at_last():
    assert kept(0, 100, 0.99) == pytest.approx(0.99)
    assert kept(50, 100, 0.99) == pytest.approx(0.995)
    assert kept(100, 100, 0.99) == 1


def test_the_rate_warms_up_and_falls_along_a_cosine():
    rates = [learning_rate(step, 110, 10, 2.0) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(1.0)
    assert rates[35] == pytest.approx(1 + math.cos(math.pi / 4))
    assert 0 < rates[-1] < 1e-3


@given(st.integers(2, 64), st.integers(0, 2**31))
def test_embeddings_that_point_everywhere_have_a_spread_near_1(d, seed):
    draws = torch.Generator().manual_seed(seed)
    assert spread(torch.randn(2000, d, generator=draws)).item() == pytest.approx(1, abs=0.06)


def test_collapsed_embeddings_have_no_spread():
    direction = torch.randn(1, 32)
    assert spread(direction * torch.rand(50, 1)).item() == pytest.approx(0, abs=1e-4)
