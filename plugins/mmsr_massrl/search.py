"""Searching a policy on images without labels: density matching by a rotation proxy.

As Fast AutoAugment: a network learns from one part of the images, as they are; sub-policies are
good when it still understands the other part augmented by them. What it has to tell is, as in
SelfAugment (the paper's reference 16), by how many quarter turns an image was turned. The paper
warns (section 2.2) that such a proxy prefers what does little; it is a start, not a proof.
"""

from dataclasses import dataclass
from pathlib import Path

import lightning_fabric as lf
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.components import PictureSource, Report
from mmsr_massrl.encoder import Config, Encoder
from mmsr_massrl.ops import EXTENDED, NUMBERS
from mmsr_massrl.policies import Policy, Step, Strategy, View, save_policy
from mmsr_massrl.pretrain import make_fabric
from mmsr_massrl.sets import HARMLESS
from mmsr_massrl.settings import Settings
from mmsr_massrl.views import apply_ops, make_view

MOST = 8192
"""Images that a search looks at."""
JUDGED = 512
"""Images that a sub-policy is judged on."""
STEPS = 400
"""Of the proxy's training, where none are given."""
FOLDS, DRAWN, CHANGED, KEPT = 2, 96, 64, 12
"""Parts that take turns in being learned from; in each, sub-policies that are drawn, made from
the best so far, and kept."""
PARENTS = 8

Subpolicy = tuple[Step, ...]


@dataclass(frozen=True)
class Judged:
    """A sub-policy and the proxy's cross-entropy on images that it augmented."""

    loss: float
    steps: Subpolicy


def search_policy(
    open_pictures: PictureSource,
    out: Path,
    report: Report,
    settings: Settings,
    seed: int,
    device: str,
) -> None:
    """Search sub-policies for these images and write them as a policy file to `out`.

    Crop, flips and the space of operations are those of the encoder's policy: `HARMLESS` for the
    encoder `tile`, otherwise the paper's extended space. RecipeError when `out` exists or can't
    be a policy file, or when the images are too few or too small.
    """
    if out.suffix != ".json":
        raise RecipeError(f"{out}: a policy file ends in .json; choose such an --out")
    if out.exists():
        raise RecipeError(f"{out}: exists already; delete it, or choose another --out")
    assert settings.side is not None
    assert settings.cut is not None
    side = settings.side
    pictures = open_pictures(side, settings.cut)
    if len(pictures) < 2 * settings.batch:
        raise RecipeError(
            f"{len(pictures)} images are too few for a search in batches of {settings.batch}; "
            f"give {2 * settings.batch} or more, or a smaller --batch"
        )
    view = settings.policies().view(0).model_copy(update={"strategies": ()})
    space = HARMLESS if settings.encoder == "tile" else EXTENDED
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(pictures))[:MOST]
    stored = torch.from_numpy(pictures.read(np.sort(rows)))
    order = torch.from_numpy(rng.permutation(len(stored)))
    fabric = make_fabric(device, settings.precision)
    found: list[Judged] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for fold, held in enumerate(order.chunk(FOLDS)):
            others = torch.cat([part for i, part in enumerate(order.chunk(FOLDS)) if i != fold])
            draws = torch.Generator().manual_seed(seed + fold)
            proxy = _Proxy(fabric, view, side, draws)
            proxy.learn(stored[others], settings.steps or STEPS, settings.batch, report)
            found += _searched(proxy, proxy.cropped(stored[held[:JUDGED]]), space, rng, report)
    best = tuple(one.steps for one in sorted(found, key=lambda one: one.loss))
    chosen = view.model_copy(update={"strategies": (Strategy(subpolicies=best),)})
    save_policy(out, Policy(name=out.stem, views=(chosen,)))


class _Proxy:
    """A small encoder that learns to tell by how many quarter turns an image was turned."""

    def __init__(self, fabric: lf.Fabric, view: View, side: int, draws: torch.Generator) -> None:
        self._fabric, self._view, self._side, self._draws = fabric, view, side, draws
        encoder = Encoder(Config())
        self._network = nn.Sequential(encoder, nn.Linear(encoder.channels, 4))
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=2e-3)
        self._model, self._optimizer = fabric.setup(self._network, self._optimizer)

    def cropped(self, stored: Tensor) -> Tensor:
        """Images (n,s,s,3) of 8 bits → one view of each without operations; not turned yet."""
        # A view that is turned already would leave no answer to the question.
        view = self._view.model_copy(update={"turns": False})
        return make_view(self._fabric.to_device(stored), view, self._side, self._draws)

    def learn(self, stored: Tensor, steps: int, batch: int, report: Report) -> None:
        """Train on images as they are."""
        self._model.train()
        for step in range(steps):
            rows = torch.randint(len(stored), (batch,), generator=self._draws)
            loss, right = self._asked(self.cropped(stored[rows]))
            self._optimizer.zero_grad()
            self._fabric.backward(loss)
            self._optimizer.step()
            if (step + 1) % 20 == 0 or step + 1 == steps:
                what = f"proxy: loss {loss.item():.3f}, right {right.item():.2f}"
                report(what, step + 1, steps)
        self._model.eval()

    @torch.no_grad()
    def judge(self, images: Tensor, steps: Subpolicy) -> float:
        """The mean loss on images (n,3,h,w) that a sub-policy augmented."""
        n, draws = len(images), self._draws
        runs = torch.rand(n, len(steps), generator=draws) < torch.tensor([s[1] for s in steps])
        numbers = torch.where(runs, torch.tensor([NUMBERS[s[0]] for s in steps]), -1)
        levels = torch.tensor([s[2] for s in steps]).expand(n, -1)
        randoms = torch.rand(n, len(steps), 2, generator=draws)
        loss, _ = self._asked(apply_ops(images, numbers, levels, randoms).clamp(0, 1))
        return loss.item()

    def _asked(self, images: Tensor) -> tuple[Tensor, Tensor]:
        turns = torch.randint(4, (len(images),), generator=self._draws)
        turned = torch.empty_like(images)
        for turn in range(4):
            rows = torch.nonzero(turns == turn).squeeze(1).to(images.device)
            turned[rows] = torch.rot90(images[rows], turn, (2, 3))
        answers = self._model(turned)
        turns = turns.to(images.device)
        return F.cross_entropy(answers, turns), (answers.argmax(1) == turns).float().mean()


def _searched(
    proxy: _Proxy, images: Tensor, space: tuple[str, ...], rng: np.random.Generator, report: Report
) -> list[Judged]:
    """The best sub-policies of two operations, of some drawn at random and some made of these."""
    judged: list[Judged] = []
    for number in range(DRAWN + CHANGED):
        if number < DRAWN:
            steps = _drawn(space, rng)
        else:
            parents = sorted(judged, key=lambda one: one.loss)[:PARENTS]
            steps = _changed(parents[rng.integers(len(parents))].steps, space, rng)
        judged.append(Judged(proxy.judge(images, steps), steps))
        report("sub-policies", number + 1, DRAWN + CHANGED)
    # The best of every pair of operations: the best of all are variants of one.
    best: dict[tuple[str, ...], Judged] = {}
    for one in sorted(judged, key=lambda one: one.loss):
        best.setdefault(tuple(sorted(name for name, _, _ in one.steps)), one)
    return list(best.values())[:KEPT]


def _drawn(space: tuple[str, ...], rng: np.random.Generator) -> Subpolicy:
    # One that hardly ever runs would be kept for doing nothing.
    return tuple(
        (str(rng.choice(space)), _rounded(rng.uniform(0.2, 1)), _rounded(rng.uniform(0.1, 1)))
        for _ in range(2)
    )


def _changed(steps: Subpolicy, space: tuple[str, ...], rng: np.random.Generator) -> Subpolicy:
    """The same with one operation drawn anew, or its probability and level moved a little."""
    place = int(rng.integers(len(steps)))
    name, share, level = steps[place]
    if rng.random() < 0.3:
        (step, _) = _drawn(space, rng)
    else:
        moved = np.clip(np.array([share, level]) + rng.normal(0, 0.1, 2), (0.2, 0.1), 1)
        step = (name, _rounded(moved[0]), _rounded(moved[1]))
    return (*steps[:place], step, *steps[place + 1 :])


def _rounded(value: float) -> float:
    return round(float(value), 3)
