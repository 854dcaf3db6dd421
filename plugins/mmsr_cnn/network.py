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
SMALLEST = 1e-4
"""No answer is a smaller share of the mean size: the loss divides by its root."""
DECAY = 1e-2
"""Of the weights; some thousand cells of a few dozen photographs are soon learnt by heart."""
LUMA = (0.299, 0.587, 0.114)
CONTRAST = 0.15
"""A usual deviation of luma from its mean over a tile."""


@dataclass(frozen=True)
class Schedule:
    """How a network is fitted: AdamW, a cosine to zero; tiles flipped, turned and inverted."""

    epochs: int
    batch: int
    rate: float


class Network(nn.Module):
    """Features (n,f) → expected errors (n,r) > 0.

    It answers with the dearest route's error and the others' gaps to it, as `forest-gain` does: a
    gap can be a thousandth of the errors, and would drown in what two answers are wrong by. Of
    pixels (f = 3·side²) three convolutions make such an answer for every part of the tile, and
    these are averaged, for errors add up over a tile as over an image. Each is a square: errors of
    an image of half the contrast are a quarter. Other features, standardised, go through two dense
    layers.
    """

    mean: Tensor
    deviation: Tensor
    scale: Tensor
    mixing: Tensor

    def __init__(
        self, features: Tensor, targets: Tensor, dearest: int, side: int | None, width: int
    ) -> None:
        super().__init__()
        self.side = side
        routes = targets.shape[1]
        layers: list[nn.Module]
        if side is not None:
            mean, deviation = torch.zeros(1), torch.full((1,), CONTRAST)
            layers = [nn.Conv2d(1, width, 5, 2, 2), nn.ReLU()]
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()]
            layers += [nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.ReLU()]
            head: nn.Conv2d | nn.Linear = nn.Conv2d(2 * width, routes, 1)
        else:
            mean, deviation = features.mean(0), features.std(0).clamp(min=1e-6)
            layers = [nn.Linear(features.shape[1], 4 * width), nn.ReLU()]
            layers += [nn.Linear(4 * width, 4 * width), nn.ReLU()]
            head = nn.Linear(4 * width, routes)
        nn.init.zeros_(head.weight)
        nn.init.ones_(head.bias)  # type: ignore[arg-type]  # training starts at the mean
        mixing = torch.eye(routes)
        mixing[dearest] = 1  # every route's error is its gap plus the dearest's own
        self.layers = nn.Sequential(*layers, head)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        # Sizes, not values: a cheaper route may be the better one, with a mean gap of 0 or less.
        self.register_buffer("scale", targets.abs().mean(0).clamp(min=FLOOR))
        self.register_buffer("mixing", mixing)

    def forward(self, features: Tensor) -> Tensor:
        return ((self.shares(features) * self.scale) @ self.mixing).clamp(min=FLOOR)

    def shares(self, features: Tensor) -> Tensor:
        """The dearest route's error and the others' gaps to it, (n,r), over their mean size."""
        x = features
        if self.side is not None:
            x = x.reshape(-1, 3, self.side, self.side)
            x = (x * x.new_tensor(LUMA).reshape(3, 1, 1)).sum(1, keepdim=True)
            x = x - x.mean((2, 3), keepdim=True)
        squares: Tensor = self.layers((x - self.mean) / self.deviation).square()
        return (squares if self.side is None else squares.mean((2, 3))) + SMALLEST


def fit_network(data: RouterData, seed: int, width: int, schedule: Schedule) -> Network:
    """A network fitted to measured errors, in eval mode on the CPU.

    The loss is the Tweedie deviance, of power 1.5, of the dearest route's error and of the gaps,
    each over its mean size: least at the expectation, which a plan adds up. Errors spread over five
    decades: a square would learn the few large ones alone, and the Poisson deviance still takes
    flat tiles for several times as bad as they are. PluginError for options that make no sense.
    """
    if min(width, schedule.epochs, schedule.batch) < 1 or not schedule.rate > 0:
        raise PluginError("a network's width, epochs, batch and rate have to be above 0")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    features = torch.from_numpy(data.features)
    dearest = int(np.argmax(data.costs))
    errors = np.maximum(data.errors, FLOOR)
    others = np.arange(errors.shape[1]) != dearest
    errors[:, others] -= errors[:, [dearest]]
    targets = torch.from_numpy(errors).float()
    side = side_of(data.names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(features, targets, dearest, side, width).to(device).train()
        features, targets = features.to(device), targets.to(device) / network.scale
        optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=DECAY)
        parts = max(1, len(features) // schedule.batch)
        last = schedule.epochs * parts
        for step in range(last):
            if step % parts == 0:
                rows = torch.randperm(len(features)).to(device).tensor_split(parts)
            mine = rows[step % parts]
            x = features[mine] if side is None else _varied(features[mine], side)
            shares = network.shares(x)
            roots = shares.sqrt()
            loss = (roots + targets[mine] / roots).mean()
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate * 0.5 * (1 + math.cos(math.pi * step / last))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    return network.cpu().eval().requires_grad_(False)


def _varied(features: Tensor, side: int) -> Tensor:
    """A batch of tiles as pixels (n, 3·side²), flipped or turned in one of eight ways, and every
    other one inverted: none of this changes what a route loses on average."""
    tiles = features.reshape(-1, 3, side, side)
    way = int(torch.randint(8, ()))
    tiles = torch.rot90(tiles, way % 4, (2, 3))
    tiles = tiles.flip(3) if way >= 4 else tiles
    inverted = torch.randint(2, (len(tiles), 1, 1, 1)).to(tiles)
    return torch.lerp(tiles, 1 - tiles, inverted).flatten(1)
