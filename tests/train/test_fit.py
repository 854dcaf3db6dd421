import lightning_fabric as lf
import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Pair
from mmsr_core.train.fit import fit, learning_rate
from mmsr_core.train.gan.match import Adversary, Match
from mmsr_core.train.nodes.claim import Claim
from mmsr_core.train.settings import Fit
from mmsr_core.train.sources import Crops

SETTINGS = Fit(steps=6, batch=2, patch=8, warmup=2, rate=1e-2, ema=0.9, save_every=3)

GAN = SETTINGS.overridden({"adversarial": {"steps": 4, "rate": 1e-3, "features": "none"}})


class Interrupted(Exception):
    pass


class Net(nn.Module):
    """Doubles an image: one convolution, a normalisation that keeps statistics, a shuffle."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.PixelShuffle(2)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def pairs():
    lr = np.random.default_rng(0).integers(0, 255, (3, 12, 14, 3), np.uint8)
    return [Pair(x, x.repeat(2, 0).repeat(2, 1), number) for number, x in enumerate(lr)]


class Judge(nn.Module):
    """One logit a patch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 1, 1)
        )

    def forward(self, x):
        return self.layers(x).flatten(1)


@pytest.fixture
def train(pairs, tmp_path):
    def train(
        name="checkpoint", settings=SETTINGS, module=None, report=lambda *_: None, adversary=None
    ):
        return fit(
            lf.Fabric(accelerator="cpu", devices=1, precision=settings.precision),
            module or Net(),
            Crops(pairs, settings.patch),
            settings,
            5,
            Claim.take(tmp_path / name),
            report,
            adversary,
        )

    for name in ("checkpoint", "unbroken", "broken"):
        (tmp_path / name).mkdir()
    return train


def interrupt_after(monkeypatch, steps):
    """Make the step after `steps` fail, once."""
    schedule = learning_rate

    def failing(step, *rest):
        if step == steps:
            monkeypatch.setattr("mmsr_core.train.fit.learning_rate", schedule)
            raise Interrupted
        return schedule(step, *rest)

    monkeypatch.setattr("mmsr_core.train.fit.learning_rate", failing)


def weights(fitted):
    return fitted.module.state_dict()


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_an_interrupted_run_ends_with_the_weights_of_an_unbroken_one(train, monkeypatch, steps):
    unbroken = weights(train("unbroken"))
    interrupt_after(monkeypatch, steps)
    with pytest.raises(Interrupted):
        train("broken")
    resumed = weights(train("broken"))
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())


def test_a_resumed_run_starts_at_its_checkpoint(train, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Interrupted):
        train()
    steps = []
    monkeypatch.setattr(
        "mmsr_core.train.fit.learning_rate", lambda step, *_: steps.append(step) or 1e-3
    )
    train()
    assert steps == [3, 4, 5]


def test_a_resumed_run_says_from_where_it_goes_on(train, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Interrupted):
        train()
    told = []
    train(report=lambda *at: told.append(at))
    assert told[0] == ("goes on from step 3", 0, 0)


def test_a_finished_checkpoint_is_not_trained_further(train):
    finished = weights(train())
    again = weights(train())
    assert all(torch.equal(again[name], value) for name, value in finished.items())


def test_the_loss_falls_and_is_reported(train):
    reports = []
    train(settings=SETTINGS.model_copy(update={"steps": 60}), report=lambda *at: reports.append(at))
    losses = [float(what.removeprefix("loss ")) for what, _, _ in reports]
    assert [at[1:] for at in reports] == [(20, 60), (40, 60), (60, 60)]
    assert losses[-1] < losses[0]


def test_what_comes_back_is_ready_to_use(train):
    module = train().module
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_the_average_keeps_the_statistics_of_the_trained_network(train):
    assert train().module.layers[1].num_batches_tracked == SETTINGS.steps


def test_a_loss_that_is_no_number_is_an_error_and_leaves_no_checkpoint(train, tmp_path):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x) * float("nan")

    with pytest.raises(RecipeError, match="the loss is nan at step 3; lower the rate"):
        train(module=Broken())
    assert not list((tmp_path / "checkpoint").glob("*.pt"))


def test_photographs_smaller_than_a_patch_are_left_out(pairs, train):
    pairs.append(Pair(np.zeros((7, 99, 3), np.uint8), np.zeros((14, 198, 3), np.uint8), 9))
    train()


def test_without_one_photograph_as_large_as_a_patch_there_is_no_training(train):
    with pytest.raises(RecipeError, match="as large as a patch of 13 LR pixels"):
        train(settings=SETTINGS.model_copy(update={"patch": 13}))


@pytest.mark.parametrize("game", ["standard", "relativistic"])
@pytest.mark.parametrize("steps", [2, 4, 5, 7])
def test_an_interrupted_gan_phase_ends_with_the_weights_of_an_unbroken_one(
    train, monkeypatch, steps, game
):
    unbroken = weights(train("unbroken", GAN, adversary=Adversary(Judge(), game)))
    interrupt_after(monkeypatch, steps)
    with pytest.raises(Interrupted):
        train("broken", GAN, adversary=Adversary(Judge(), game))
    resumed = weights(train("broken", GAN, adversary=Adversary(Judge(), game)))
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())


def test_the_adversary_moves_the_generator_and_learns_itself(train):
    judge = Judge()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    alone = weights(train("unbroken"))
    played = train("broken", GAN, adversary=Adversary(judge, "standard"))
    assert (played.steps, played.adversarial_steps) == (6, 4)
    assert not torch.equal(weights(played)["layers.0.weight"], alone["layers.0.weight"])
    assert not torch.equal(judge.state_dict()["layers.0.weight"], before["layers.0.weight"])


def test_the_generators_step_teaches_the_discriminator_nothing(pairs):
    judge = Judge()
    match = Match(lf.Fabric(accelerator="cpu"), Adversary(judge, "relativistic"), GAN.adversarial)
    sr = torch.rand(2, 3, 16, 16, requires_grad=True)
    match.generator_loss(sr, torch.rand(2, 3, 16, 16)).backward()
    assert sr.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judge.parameters())


class Brightness(nn.Module):
    """A feature network that sees how bright an image is, and nothing else."""

    def maps(self, images):
        return [images.mean((1, 2, 3))]


def test_without_a_feature_network_the_pixel_loss_has_its_weight():
    phase = GAN.overridden({"adversarial": {"pixel": 0.01, "perceptual": 3.0}}).adversarial
    sr, hr = torch.zeros(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.5)
    losses = []
    for features in (None, Brightness()):
        adversary = Adversary(Judge(), "standard", features)
        match = Match(lf.Fabric(accelerator="cpu"), adversary, phase)
        game = phase.weight * nn.functional.softplus(-Judge()(sr)).mean()
        losses.append((match.generator_loss(sr, hr) - game).item())
    assert losses == pytest.approx([3.0 * 0.5, 0.01 * 0.5 + 3.0 * 0.5], abs=1e-6)


def test_a_batch_in_parts_is_the_batch_in_one(train):
    # Without statistics of the batch, which parts have of their own.
    def plain():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))

    whole = weights(train("unbroken", SETTINGS.overridden({"batch": 4}), plain()))
    settings = SETTINGS.overridden({"batch": 4, "accumulate": 2})
    parts = weights(train("broken", settings, plain()))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6)


def test_what_training_took_adds_up_over_resumed_runs(train, monkeypatch, tmp_path):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Interrupted):
        train()
    path = tmp_path / "checkpoint" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    assert 0 <= state["waited"] <= state["seconds"]
    torch.save(state | {"seconds": 1000.0, "waited": 100.0}, path)
    fitted = train()
    assert 1000 < fitted.seconds < 1100
    assert 100 <= fitted.waited < 200


def test_curves_are_logged_beside_the_checkpoint(train, tmp_path):
    train(settings=GAN, adversary=Adversary(Judge(), "standard"))
    logs = list((tmp_path / "checkpoint" / "logs").iterdir())
    assert any("tfevents" in path.name for path in logs)
    assert b"loss/discriminator" in b"".join(path.read_bytes() for path in logs)


def test_the_rate_warms_up_then_falls_to_zero():
    settings = Fit(steps=100, warmup=10, rate=2.0)
    rates = [learning_rate(step, 100, 0, settings) for step in range(100)] + [0.0]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2
    assert rates[55] == pytest.approx(1)
    assert rates[99] == pytest.approx(0, abs=1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_warm_up_longer_than_the_training_stays_below_the_rate():
    settings = Fit(steps=5, warmup=10, rate=1.0)
    assert max(learning_rate(step, 5, 0, settings) for step in range(5)) == pytest.approx(0.5)


def test_the_gan_phase_has_a_cosine_of_its_own():
    rates = [learning_rate(step, 6, 4, GAN) for step in range(6, 10)]
    assert rates[0] == GAN.adversarial.rate
    assert rates == sorted(rates, reverse=True)
    assert rates[2] == pytest.approx(GAN.adversarial.rate / 2)
