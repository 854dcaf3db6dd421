"""The whitened principal axes of an encoder's features: the few numbers that a forest wants."""

from typing import Protocol

import torch
from torch import Tensor

from mmsr_core.errors import MmsrError

MOST = 64
"""Axes that an encoder file keeps."""
FLAT = 1e-6
"""The least standard deviation, as a share of the largest: an axis flatter than that is noise."""


class Described(Protocol):
    """What has principal axes: buffers `centre` (d,) and `axes` (min(d,64), d)."""

    centre: Tensor
    axes: Tensor


def principal_axes(embeddings: Tensor, most: int = MOST) -> tuple[Tensor, Tensor]:
    """The mean (d,) of embeddings (n,d), and their first principal axes (min(d, most), d).

    Rows are sorted by falling variance and divided by their standard deviation, so that
    (embeddings − mean) @ axes.T has covariance I. The sign of a row makes its largest entry
    positive. MmsrError for fewer than two embeddings, or ones that are all alike.
    """
    values = embeddings.detach().double().cpu()
    if len(values) < 2:
        raise MmsrError(f"principal axes need two embeddings or more, not {len(values)}")
    mean = values.mean(0)
    centred = values - mean
    variances, vectors = torch.linalg.eigh(centred.T @ centred / (len(values) - 1))
    deviations = variances.clamp(min=0).sqrt().flip(0)[:most]
    if not deviations[0] > 0:
        raise MmsrError("the embeddings are all alike: the encoder has collapsed")
    rows = vectors.T.flip(0)[:most]
    signs = rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    # What varies less than float32 can tell must not be blown up to variance 1.
    lengths = torch.where(deviations > FLAT * deviations[0], 1 / deviations, 0.0)
    return mean.float(), (rows * signs * lengths[:, None]).float()


def fit_axes(encoder: Described, embeddings: Tensor) -> None:
    """Keep the principal axes of embeddings (n,d) in the encoder's buffers."""
    centre, axes = principal_axes(embeddings, len(encoder.axes))
    encoder.centre.copy_(centre)
    encoder.axes.copy_(axes)
