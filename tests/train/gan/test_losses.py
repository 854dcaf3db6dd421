import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mmsr_core.train.gan.losses import discriminator_loss, generator_loss
from mmsr_esrgan import register_backbones as esrgan
from mmsr_srgan import register_backbones as srgan

GAMES = ["standard", "relativistic"]
REAL = np.array([[1.5], [-0.3], [4.0]])
FAKE = np.array([[-2.0], [0.7], [0.1]])
logits = st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=5)


def probability(logit):
    return 1 / (1 + np.exp(-logit))


def tensors(real, fake):
    return torch.tensor(real, dtype=torch.float32), torch.tensor(fake, dtype=torch.float32)


def test_the_standard_losses_are_the_papers_cross_entropies():
    real, fake = tensors(REAL, FAKE)
    wanted = -np.log(probability(FAKE)).mean()
    assert generator_loss("standard", real, fake).item() == pytest.approx(wanted, rel=1e-6)
    wanted = -np.log(probability(REAL)).mean() - np.log(1 - probability(FAKE)).mean()
    assert discriminator_loss("standard", real, fake).item() == pytest.approx(wanted, rel=1e-6)


def test_the_relativistic_losses_compare_with_the_other_side_s_average():
    real, fake = tensors(REAL, FAKE)
    truer = probability(REAL - FAKE.mean())
    falser = probability(FAKE - REAL.mean())
    wanted = -np.log(1 - truer).mean() - np.log(falser).mean()
    assert generator_loss("relativistic", real, fake).item() == pytest.approx(wanted, rel=1e-6)
    wanted = -np.log(truer).mean() - np.log(1 - falser).mean()
    assert discriminator_loss("relativistic", real, fake).item() == pytest.approx(wanted, rel=1e-6)


@given(real=logits, fake=logits)
def test_the_relativistic_generator_s_loss_is_the_discriminator_s_with_the_sides_changed(
    real, fake
):
    one, other = tensors(real, fake)
    mine = generator_loss("relativistic", one, other)
    torch.testing.assert_close(mine, discriminator_loss("relativistic", other, one))


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("loss", [generator_loss, discriminator_loss])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_certain_logits_give_a_finite_loss_and_gradient(game, loss, size):
    real, fake = torch.full((4, 1), size), torch.full((4, 1), -size, requires_grad=True)
    value = loss(game, real, fake)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(fake.grad).all()


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("loss", [generator_loss, discriminator_loss])
def test_a_loss_is_float32_under_autocast(game, loss):
    real, fake = tensors(REAL, FAKE)
    exact = loss(game, real.bfloat16().float(), fake.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(game, real.bfloat16(), fake.bfloat16())
    assert value.dtype == torch.float32
    assert value == exact


@pytest.mark.parametrize("game", GAMES)
def test_the_two_sides_pull_the_fake_logits_apart(game):
    pulls = []
    for loss in (generator_loss, discriminator_loss):
        real, fake = tensors(REAL, FAKE)
        loss(game, real, fake.requires_grad_()).backward()
        pulls.append(fake.grad)
    assert (pulls[0] < 0).all()  # descending, the generator raises them
    assert (pulls[1] > 0).all()


@pytest.mark.parametrize("backbones", [srgan, esrgan], ids=["srgan", "esrgan"])
def test_a_short_game_stays_finite_and_moves_both_sides(backbones):
    """From a bilinear start, 30 rounds on noise: neither side blows up."""
    torch.manual_seed(0)
    (backbone,) = backbones()
    generator = backbone.build(depth=1, scale=2, channels=8).train()
    critic = backbone.discriminator(layers=4, channels=8).train()
    before = [weight.clone() for weight in generator.parameters()]
    mine = torch.optim.Adam(generator.parameters(), 1e-3)
    theirs = torch.optim.Adam(critic.parameters(), 1e-3)
    told = []
    for _ in range(30):
        hr = torch.rand(4, 3, 32, 32)
        lr = F.avg_pool2d(hr, 2)
        critic.requires_grad_(False)
        sr = generator(lr)
        loss = nn.functional.l1_loss(sr, hr)
        loss = 0.1 * loss + generator_loss(backbone.game, critic(hr), critic(sr))
        mine.zero_grad()
        loss.backward()
        mine.step()
        critic.requires_grad_(True)
        against = discriminator_loss(backbone.game, critic(hr), critic(sr.detach()))
        theirs.zero_grad()
        against.backward()
        theirs.step()
        told.append((loss.item(), against.item()))
    assert np.isfinite(told).all()
    moved = zip(before, generator.parameters(), strict=True)
    assert all((old - new).abs().max() > 0 for old, new in moved if new.dim() > 1)


@pytest.mark.parametrize("backbones", [srgan, esrgan], ids=["srgan", "esrgan"])
def test_a_critic_learns_to_tell_patches_from_upscaled_ones(backbones):
    """The same ones over and over: against new noise each time it would take hundreds of steps."""
    torch.manual_seed(0)
    (backbone,) = backbones()
    critic = backbone.discriminator(layers=4, channels=16).train()
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    hr = torch.rand(4, 3, 32, 32)
    sr = F.interpolate(F.avg_pool2d(hr, 2), scale_factor=2, mode="bilinear")
    told = []
    for _ in range(60):
        loss = discriminator_loss(backbone.game, critic(hr), critic(sr))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    assert told[-1] < 0.8 * told[0]
