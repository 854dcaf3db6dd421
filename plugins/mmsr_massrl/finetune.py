"""Fine-tuning: encoder and linear classifier, trained on a part of the labels (section 3.4).

SGD with Nesterov momentum, a cosine to zero, no weight decay, random crops and flips alone; the
learning rate is the best of some on a validation part of the labelled images.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import MmsrError
from mmsr_massrl.datasets import stratified
from mmsr_massrl.labelled import Images
from mmsr_massrl.linear import VALIDATION
from mmsr_massrl.probing import Report, accuracy, to_tensor

SHIFT = 8
"""A crop moves by at most one part in so many of the side; what it uncovers is mirrored."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to fine-tune; rates are for a batch of 256 and grow with it."""

    epochs: int = 50
    batch: int = 256
    rates: tuple[float, ...] = (0.02, 0.05, 0.1)


class Classifier(nn.Module):
    """An encoder with a linear layer on its d features: images (n,3,h,w) → logits (n,c)."""

    def __init__(self, encoder: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.head = nn.Linear(features, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.encoder(images)))
        return logits


def finetune(
    encoder: nn.Module,
    features: int,
    images: Images,
    classes: int,
    side: int,
    rate: float,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    report: Report,
) -> Classifier:
    """A copy of the encoder and a classifier of its `features`, trained on `images`, in eval mode.

    A batch depends on the seed and its number alone. MmsrError when the loss stops being a number.
    """
    torch.manual_seed(seed)
    model = Classifier(deepcopy(encoder).requires_grad_(True), features, classes).to(device).train()
    size = min(schedule.batch, len(images))
    parts = math.ceil(len(images) / size)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    step, last = 0, schedule.epochs * parts
    for epoch in range(schedule.epochs):
        for pixels, truth in images.batches(size, side, rng.permutation(len(images))):
            for group in optimizer.param_groups:
                group["lr"] = rate * size / 256 * 0.5 * (1 + math.cos(math.pi * step / last))
            views = moved(to_tensor(pixels, device), generator)
            with _narrow(device):
                loss = F.cross_entropy(model(views), torch.from_numpy(truth).to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
        if not math.isfinite(loss.item()):
            raise MmsrError(f"the loss is {loss.item()} at rate {rate:g}; give a lower one")
        report(f"fine-tuning at rate {rate:g}", epoch + 1, schedule.epochs)
    return model.eval()


@torch.inference_mode()
def predict(
    model: nn.Module, images: Images, side: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Logits (n,c) and labels (n,) of images as they are."""
    logits, labels = [], []
    for pixels, truth in images.batches(256, side):
        logits.append(model(to_tensor(pixels, device)).float())
        labels.append(torch.from_numpy(truth))
    return torch.cat(logits), torch.cat(labels).to(device)


def best_rate(
    encoder: nn.Module,
    features: int,
    images: Images,
    classes: int,
    side: int,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    report: Report,
) -> float:
    """The rate whose model tells most of a held-out fifth of the labelled images right."""
    rates: Sequence[float] = schedule.rates
    held, rest = stratified(images.labels, VALIDATION, seed)
    if len(rates) == 1 or len(held) == 0:
        return sorted(rates)[len(rates) // 2]
    train = partial(finetune, encoder, features, images.pick(rest), classes, side)
    found = []
    for rate in rates:
        model = train(rate, schedule, seed, device, report)
        found.append(accuracy(*predict(model, images.pick(held), side, device)))
    return rates[max(range(len(rates)), key=found.__getitem__)]


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n,3,h,w), each shifted by up to a `SHIFT`th of its side and flipped at random."""
    n, _, height, width = images.shape
    most = max(1, min(height, width) // SHIFT) if min(height, width) > 1 else 0
    padded = F.pad(images, (most, most, most, most), mode="reflect")
    tops, lefts = (torch.randint(2 * most + 1, (n,), generator=generator) for _ in range(2))
    flipped = torch.rand(n, generator=generator) < 0.5
    down = torch.arange(height)[None] + tops[:, None]
    across = torch.arange(width)[None].expand(n, width)
    across = torch.where(flipped[:, None], across.flip(1), across) + lefts[:, None]
    rows = torch.arange(n)[:, None, None]
    taken = padded.permute(0, 2, 3, 1)[
        rows.to(images.device),
        down[:, :, None].to(images.device),
        across[:, None].to(images.device),
    ]
    return taken.permute(0, 3, 1, 2)


def _narrow(device: torch.device) -> torch.autocast:
    """bfloat16 where that is faster, on a GPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
