import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Pair
from mmsr_core.train.fit import fit, learning_rate
from mmsr_core.train.recipe import Fit

SETTINGS = Fit(steps=6, batch=2, patch=8, warmup=2, rate=1e-2, ema=0.9, save_every=3)


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


@pytest.fixture
def train(pairs, tmp_path):
    def train(name="checkpoint", settings=SETTINGS, module=None, report=lambda *_: None):
        return fit(module or Net(), pairs, 2, settings, 5, tmp_path / f"{name}.pt", report)

    return train


def interrupt_after(monkeypatch, steps):
    """Make the step after `steps` fail, once."""
    schedule = learning_rate

    def failing(step, settings):
        if step == steps:
            monkeypatch.setattr("mmsr_core.train.fit.learning_rate", schedule)
            raise Interrupted
        return schedule(step, settings)

    monkeypatch.setattr("mmsr_core.train.fit.learning_rate", failing)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_an_interrupted_run_ends_with_the_weights_of_an_unbroken_one(train, monkeypatch, steps):
    unbroken = train("unbroken").state_dict()
    interrupt_after(monkeypatch, steps)
    with pytest.raises(Interrupted):
        train("broken")
    resumed = train("broken").state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())


def test_a_resumed_run_starts_at_its_checkpoint(train, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Interrupted):
        train()
    steps = []
    monkeypatch.setattr(
        "mmsr_core.train.fit.learning_rate", lambda step, _: steps.append(step) or 1e-3
    )
    train()
    assert steps == [3, 4, 5]


def test_a_finished_checkpoint_is_not_trained_further(train):
    finished = train().state_dict()
    again = train().state_dict()
    assert all(torch.equal(again[name], value) for name, value in finished.items())


def test_the_loss_falls_and_is_reported(train):
    reports = []
    train(settings=SETTINGS.model_copy(update={"steps": 60}), report=lambda *at: reports.append(at))
    losses = [float(what.removeprefix("loss ")) for what, _, _ in reports]
    assert [at[1:] for at in reports] == [(20, 60), (40, 60), (60, 60)]
    assert losses[-1] < losses[0]


def test_what_comes_back_is_ready_to_use(train):
    module = train()
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_the_average_keeps_the_statistics_of_the_trained_network(train):
    assert train().layers[1].num_batches_tracked == SETTINGS.steps


def test_a_loss_that_is_no_number_is_an_error_and_leaves_no_checkpoint(train, tmp_path):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x) * float("nan")

    with pytest.raises(RecipeError, match="the loss is nan at step 3; lower the rate"):
        train(module=Broken())
    assert not list(tmp_path.iterdir())


def test_photographs_smaller_than_a_patch_are_left_out(pairs, train):
    pairs.append(Pair(np.zeros((7, 99, 3), np.uint8), np.zeros((14, 198, 3), np.uint8), 9))
    train()


def test_without_one_photograph_as_large_as_a_patch_there_is_no_training(train):
    with pytest.raises(RecipeError, match="as large as a patch of 13 LR pixels"):
        train(settings=SETTINGS.model_copy(update={"patch": 13}))


def test_the_rate_warms_up_then_falls_to_zero():
    settings = Fit(steps=100, warmup=10, rate=2.0)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2
    assert rates[55] == pytest.approx(1)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_warm_up_longer_than_the_training_stays_below_the_rate():
    settings = Fit(steps=5, warmup=10, rate=1.0)
    assert max(learning_rate(step, settings) for step in range(5)) == pytest.approx(0.5)
