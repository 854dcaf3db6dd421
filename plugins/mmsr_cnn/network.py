"""A small network from features to the expected error of every route."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mmsr_cnn.pixels import side_of
from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import RouterData

FLOOR = 1e-8
"""The smallest error that counts, −80 dB: a flat tile's error of 0 has no logarithm."""
DECAY = 1e-4
BOUND = 12.0
"""Answers stay within this many nepers of the mean error, so that none is infinite."""


@dataclass(frozen=True)
class Schedule:
    """How a network is fitted: AdamW, a cosine to zero, flipped and turned tiles."""

    epochs: int
    batch: int
    rate: float


class Network(nn.Module):
    """Features (n,f) → expected errors (n,r) > 0.

    Pixels (f = 3·side²) go through three convolutions and a mean; other features, standardised,
    through two dense layers. Each output is the logarithm of an error over its mean.
    """

    mean: Tensor
    deviation: Tensor
    scale: Tensor

    def __init__(self, features: Tensor, errors: Tensor, side: int | None, width: int) -> None:
        super().__init__()
        self.side = side
        if side is not None:
            mean, deviation = features.new_tensor([0.5]), features.new_tensor([0.25])
            widths = (3, width, 2 * width, 4 * width)
            layers: list[nn.Module] = []
            for index in range(3):
                stride = 2 if index else 1
                layers.append(nn.Conv2d(widths[index], widths[index + 1], 3, stride, 1))
                layers.append(nn.ReLU())
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        else:
            mean, deviation = features.mean(0), features.std(0).clamp(min=1e-6)
            layers = [nn.Linear(features.shape[1], 4 * width), nn.ReLU()]
            layers += [nn.Linear(4 * width, 4 * width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(4 * width, errors.shape[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("scale", errors.mean(0))

    def forward(self, features: Tensor) -> Tensor:
        return (self.logarithms(features).exp() * self.scale).clamp(min=FLOOR)

    def logarithms(self, features: Tensor) -> Tensor:
        """ln(error / mean error), (n,r)."""
        x = (features - self.mean) / self.deviation
        if self.side is not None:
            x = x.reshape(-1, 3, self.side, self.side)
        logarithms: Tensor = self.head(self.layers(x)).clamp(-BOUND, BOUND)
        return logarithms


def fit_network(data: RouterData, seed: int, width: int, schedule: Schedule) -> Network:
    """A network fitted to measured errors, in eval mode on the CPU.

    The loss is the Poisson deviance of the errors plus the squared error of the gaps to the
    dearest route: both are least at the expectation, which a plan adds up. PluginError for
    options that make no sense.
    """
    if min(width, schedule.epochs, schedule.batch) < 1 or not schedule.rate > 0:
        raise PluginError("a network's width, epochs, batch and rate have to be above 0")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    features = torch.from_numpy(data.features).to(device)
    errors = torch.from_numpy(np.maximum(data.errors, FLOOR)).float().to(device)
    dearest = int(np.argmax(data.costs))
    spread = (errors - errors[:, dearest : dearest + 1]).std(0).clamp(min=FLOOR)
    side = side_of(data.names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(features.cpu(), errors.cpu(), side, width).to(device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=DECAY)
        parts = max(1, len(features) // schedule.batch)
        last = schedule.epochs * parts
        for step in range(last):
            if step % parts == 0:
                rows = torch.randperm(len(features)).to(device).tensor_split(parts)
            mine = rows[step % parts]
            x = features[mine] if side is None else _turned(features[mine], side)
            logarithms = network.logarithms(x)
            guess, truth = logarithms.exp(), errors[mine] / network.scale
            deviance = (guess - truth * logarithms).mean()
            wrong = guess * network.scale - errors[mine]
            gaps = (wrong - wrong[:, dearest : dearest + 1]) / spread
            loss = deviance + gaps.square().mean()
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate * 0.5 * (1 + math.cos(math.pi * step / last))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    return network.cpu().eval().requires_grad_(False)


def _turned(features: Tensor, side: int) -> Tensor:
    """A batch of tiles as pixels (n, 3·side²), all flipped or turned in one of eight ways."""
    tiles = features.reshape(-1, 3, side, side)
    way = int(torch.randint(8, ()))
    tiles = torch.rot90(tiles, way % 4, (2, 3))
    return (tiles.flip(3) if way >= 4 else tiles).flatten(1)
