"""Several devices, here processes on the CPU; most laws share one launch, which takes seconds."""

import multiprocessing
import os
import signal
from functools import partial

import lightning_fabric as lf
import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.errors import DeviceError, RecipeError
from mmsr_core.train import fit as loop
from mmsr_core.train.data import Pair
from mmsr_core.train.fit import fit
from mmsr_core.train.gan.match import Adversary
from mmsr_core.train.nodes.claim import Claim
from mmsr_core.train.nodes.ranks import launch
from mmsr_core.train.settings import Fit
from mmsr_core.train.sources import Crops

SETTINGS = Fit(steps=6, batch=4, patch=16, warmup=2, rate=1e-2, ema=0.9, save_every=3)
PARTS = SETTINGS.overridden({"accumulate": 2})
GAN = SETTINGS.overridden({"adversarial": {"steps": 6, "rate": 1e-3, "features": "none"}})


class Interrupted(Exception):
    pass


def network(norm=False):
    """Doubles an image, with or without statistics of the batch."""
    torch.manual_seed(0)
    middle = nn.BatchNorm2d(12) if norm else nn.Identity()
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), middle, nn.PixelShuffle(2))


def adversary():
    """One logit a patch, by statistics of the batch."""
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 1, 1)
    return Adversary(nn.Sequential(*layers, nn.Flatten()), "relativistic")


def learn(fabric, claim, settings, module, against=None, until=None):
    """Train into a folder; only to the step `until`, when there is one."""

    def report(what, done, total):
        if done == until:
            raise Interrupted

    photos = np.random.default_rng(0).integers(0, 255, (3, 20, 24, 3), np.uint8)
    pairs = [Pair(lr, lr.repeat(2, 0).repeat(2, 1), number) for number, lr in enumerate(photos)]
    fitted = fit(fabric, module, Crops(pairs, 16), settings, 5, claim, report, against)
    if fabric.is_global_zero:
        torch.save(fitted.module.state_dict(), claim.folder / "weights.pt")


def learn_all(claims, fabric, report):
    """What both ranks do."""
    loop.TELL_EVERY = 1  # in this process only: it can be interrupted at any step
    learn(fabric, claims["shared"], SETTINGS, network())
    learn(fabric, claims["parts"], PARTS, network())
    learn(fabric, claims["unbroken"], GAN, network(norm=True), adversary())
    with pytest.raises(Interrupted):
        learn(fabric, claims["broken"], GAN, network(norm=True), adversary(), until=10)
    learn(fabric, claims["broken"], GAN, network(norm=True), adversary())
    report(f"{fabric.world_size} ranks", 1, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """trained(name): the weights that two ranks learned; `told` is what they reported."""
    root = tmp_path_factory.mktemp("ranks")
    claims = {}
    for name in ("shared", "parts", "unbroken", "broken"):
        (root / name).mkdir()
        claims[name] = Claim.take(root / name)
    told = []
    launch(partial(learn_all, claims), 2, "32-true", lambda *at: told.append(at))
    assert told == [("2 ranks", 1, 1)]
    return lambda name: torch.load(root / name / "weights.pt", weights_only=True)


@pytest.mark.parametrize("name", ["shared", "parts"])
def test_two_devices_learn_what_one_learns_of_the_same_batches(trained, tmp_path, name):
    fabric = lf.Fabric(accelerator="cpu", devices=1)
    learn(fabric, Claim.take(tmp_path), SETTINGS, network())
    alone = torch.load(tmp_path / "weights.pt", weights_only=True)
    for key, value in trained(name).items():
        # Gradients are summed in another order, and Adam divides by their size.
        torch.testing.assert_close(value, alone[key], rtol=1e-4, atol=1e-6)


def test_an_interrupted_game_on_two_devices_ends_with_the_weights_of_an_unbroken_one(trained):
    unbroken, resumed = trained("unbroken"), trained("broken")
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())


def fail(how, fabric, report):
    """One rank is lost while the other waits for it."""
    if fabric.global_rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RecipeError("rank 1 can not go on")
    fabric.barrier()


@pytest.mark.parametrize(
    ("how", "error", "line"),
    [
        ("refused", RecipeError, "^rank 1 can not go on$"),
        ("killed", DeviceError, r"^one of 2 training processes was lost \(exit code -9"),
    ],
)
def test_what_stops_one_rank_stops_all_and_is_one_line(capfd, how, error, line):
    with pytest.raises(error, match=line):
        launch(partial(fail, how), 2, "32-true", lambda *at: None)
    assert not multiprocessing.active_children()
    assert "Traceback" not in capfd.readouterr().err
