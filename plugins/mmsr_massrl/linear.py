"""Linear evaluation: multinomial logistic regression on frozen features (section 3.4).

As in the protocol that the paper follows: SGD with Nesterov momentum, a cosine to zero, no weight
decay, and the learning rate that is best on a validation part of the training images; then the
same on all of them. Features are of un-augmented images, so they are computed once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmsr_massrl.datasets import stratified
from mmsr_massrl.probing import Features, accuracy

RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
EPOCHS = 80
BATCH = 1024
MOMENTUM = 0.9
VALIDATION = 0.2


@dataclass(frozen=True)
class Linear:
    """Linear classifiers (r,d,c) with biases (r,1,c), one per learning rate, for features (n,d)
    that are first centred and scaled."""

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    biases: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Logits (r,n,c)."""
        scaled = (features - self.mean) / self.deviation
        return scaled @ self.weights + self.biases


def fit_linear(
    train: Features,
    classes: int,
    rates: Sequence[float],
    seed: int,
    epochs: int = EPOCHS,
    batch: int = BATCH,
) -> Linear:
    """Train one classifier per rate, all on the same batches; weights start at 0.

    A rate is for a batch of 256 and grows linearly with the batch.
    """
    mean = train.values.mean(0)
    deviation = train.values.std(0).clamp(min=1e-6) if len(train) > 1 else torch.ones_like(mean)
    scaled = (train.values - mean) / deviation
    # A constant one beside the features: the bias is a row of the weights.
    inputs = torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=1)
    targets = torch.nn.functional.one_hot(train.labels, classes).to(inputs.dtype)
    weights = inputs.new_zeros(len(rates), inputs.shape[1], classes)
    speed = torch.zeros_like(weights)
    size = min(batch, len(train))
    parts = math.ceil(len(train) / size)
    rate = torch.tensor(rates, dtype=inputs.dtype, device=inputs.device)[:, None, None]
    rate = rate * (size / 256)
    generator = torch.Generator().manual_seed(seed)
    for step in range(epochs * parts):
        if step % parts == 0:
            order = torch.randperm(len(train), generator=generator).to(inputs.device)
            rows = order.tensor_split(parts)
        mine = rows[step % parts]
        x, y = inputs[mine], targets[mine]
        guessed = (x @ weights).softmax(dim=2)
        slope = x.T @ (guessed - y) / len(mine)
        speed = MOMENTUM * speed + slope
        now = 0.5 * (1 + math.cos(math.pi * step / (epochs * parts)))
        weights = weights - rate * now * (slope + MOMENTUM * speed)
    return Linear(mean, deviation, weights[:, :-1], weights[:, -1:])


def best_rate(
    train: Features, classes: int, rates: Sequence[float], seed: int, epochs: int = EPOCHS
) -> float:
    """The rate whose classifier tells most of a held-out fifth of `train` right."""
    if len(rates) == 1:
        return rates[0]
    held, rest = stratified(train.labels.cpu().numpy(), VALIDATION, seed)
    if len(held) == 0:  # a handful of images: nothing to choose by
        return sorted(rates)[len(rates) // 2]
    fitted = fit_linear(train.pick(rest), classes, rates, seed, epochs)
    judged = train.pick(held)
    found = [accuracy(scores, judged.labels) for scores in fitted.scores(judged.values)]
    return rates[max(range(len(rates)), key=found.__getitem__)]
