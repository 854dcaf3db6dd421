"""Weighted nearest neighbours on frozen features: a protocol without anything to learn."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsr_massrl.probing import Features

K = 200
TEMPERATURE = 0.07
BATCH = 1024


def knn_scores(
    train: Features, features: Tensor, classes: int, k: int = K, temperature: float = TEMPERATURE
) -> Tensor:
    """Votes (n,c) of the k training images nearest by cosine similarity, of weight exp(s / τ).

    Features are brought to length 1; k is at most the number of training images. Votes are
    relative to the nearest neighbour's, which leaves their order as it is.
    """
    known = F.normalize(train.values, dim=1)
    found = []
    for part in torch.split(F.normalize(features, dim=1), BATCH):
        similarity, nearest = (part @ known.T).topk(min(k, len(train)), dim=1)
        votes = ((similarity - similarity[:, :1]) / temperature).exp()
        scores = torch.zeros(len(part), classes, dtype=votes.dtype, device=votes.device)
        found.append(scores.scatter_add_(1, train.labels[nearest], votes))
    return torch.cat(found)
