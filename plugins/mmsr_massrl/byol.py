"""BYOL's objective: an online network predicts what a slowly following target says of another view.

Grill et al., "Bootstrap Your Own Latent"; section 3.3 of the MA-SSRL paper.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_massrl.encoder import Encoder


class Byol(nn.Module):
    """An encoder with a projector and a predictor, and the target that follows the first two.

    `hidden` are the channels inside projector and predictor, `projected` those they give.
    """

    def __init__(self, encoder: Encoder, hidden: int, projected: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = _perceptron(encoder.channels, hidden, projected)
        self.predictor = _perceptron(projected, hidden, projected)
        self.target = deepcopy(nn.Sequential(encoder, self.projector)).requires_grad_(False)

    def forward(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Two or more views (n,3,h,w), n ≥ 2 → the loss, and how spread the embeddings are.

        Every view predicts every other one; with two views that is Eq. 3.
        """
        projections = [self.projector(self.encoder(view)) for view in views]
        predictions = [self.predictor(projection) for projection in projections]
        with torch.no_grad():
            targets = [self.target(view) for view in views]
        losses = [
            negative_cosine(predictions[one], targets[other])
            for one, other in permutations(range(len(views)), 2)
        ]
        return torch.stack(losses).mean(), spread(projections[0].detach())

    @torch.no_grad()
    def follow(self, keep: float) -> None:
        """Move the target's weights to keep·target + (1 − keep)·online."""
        online: list[Tensor] = [*self.encoder.parameters(), *self.projector.parameters()]
        torch._foreach_lerp_(list(self.target.parameters()), online, 1 - keep)


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Eq. 2: −cosine similarity of rows (n,d), their mean; from −1, agreement, to 1."""
    return -F.cosine_similarity(prediction.float(), target.float(), dim=1).mean()


def spread(embeddings: Tensor) -> Tensor:
    """√d times the standard deviation of l2-normalised embeddings (n,d), its mean over d.

    Near 1 when they point everywhere, 0 when all of them are one: the collapse.
    """
    normal = F.normalize(embeddings.float(), dim=1)
    return normal.std(dim=0).mean() * math.sqrt(embeddings.shape[1])


def kept(step: int, steps: int, tau: float) -> float:
    """How much of itself the target keeps at a step: from `tau` to 1 along a cosine."""
    return 1 - (1 - tau) * (math.cos(math.pi * step / steps) + 1) / 2


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """A linear warm-up to `peak`, then a cosine to zero without restarts."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _perceptron(entering: int, hidden: int, leaving: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(entering, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, leaving),
    )
