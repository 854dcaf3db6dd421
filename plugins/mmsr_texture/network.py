"""Hand-made texture features as a torch module, so that they export like any other network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import PluginError, no_such

LUMA = (0.299, 0.587, 0.114)
VARIATION = ("tvat", "etvat_r", "etvat_g", "etvat_b")
EDGES = ("edge_score", "limited_edge_score", "edge_max")
STRUCTURE = ("oriented", "unoriented", "oriented_max", "coherence")
LAPLACIAN = ("laplacian", "laplacian_energy", "laplacian_max", "laplacian_peaks")
PLAIN = ("gradient_x", "gradient_y", "mean", "contrast")
RESIDUALS = {"residual2": 2, "residual4": 4}
FEATURES = (*VARIATION, *EDGES, *RESIDUALS, *STRUCTURE, *LAPLACIAN, *PLAIN)
EPSILON = 1e-12
"""The least divisor: a flat tile's. A bound, because onnxruntime drops an addend this small."""
WINDOW = 5
"""Side of the window over which the structure tensor is averaged."""


class Texture(nn.Module):
    """Tiles (n,3,t,t) in [0,1] → features (n,f), in the order of `names`.

    Pixels are mapped to `value_range` first; borders replicate; every feature is a mean over
    the tile's pixels (or a maximum), so none depends on the tile's size. Grey is BT.601 luma.

    - `tvat`: Σ VSP_i·[VSP_i ≥ threshold] / pixels, with VSP_i the sum over the 8 neighbours j
      of ‖c_i − c_j‖² (2019 paper, Eq. 1 to 3).
    - `etvat_r`, `etvat_g`, `etvat_b`: the same per channel, over the pixels where the VSP of at
      least two channels exceeds the threshold (2020 paper, ETVAT).
    - `edge_score`, `limited_edge_score`, `edge_max`: the 3×3 Sobel magnitude of grey, its mean,
      the mean that counts only magnitudes above `edge_limit`, and its maximum.
    - `residual2`, `residual4`: mean squared difference between grey and itself averaged over
      blocks of 2 or 4 pixels a side and enlarged again bilinearly; t of at least 4.
    - `oriented`, `unoriented`, `oriented_max`, `coherence`: from the eigenvalues a ≥ b of the
      structure tensor of grey, averaged over a window: means of a − b (edges and lines, where a
      deep network gains most) and of 2·b (texture of no direction, where none gains), the
      largest a − b, and Σ(a − b) / Σ(a + b).
    - `laplacian`, `laplacian_energy`, `laplacian_max`, `laplacian_peaks`: mean magnitude, mean
      square, maximum and kurtosis of 8·g_i − Σ g_j over the 8 neighbours.
    - `gradient_x`, `gradient_y`: mean squared central differences.
    - `mean`, `contrast`: mean and standard deviation of grey.

    Raises PluginError for an unknown or repeated feature, none at all, a negative threshold or
    limit, and a range that is not two rising numbers.
    """

    luma: Tensor

    def __init__(
        self,
        features: Sequence[str],
        threshold: float,
        edge_limit: float,
        value_range: Sequence[float],
    ) -> None:
        super().__init__()
        for name in features:
            if name not in FEATURES:
                raise PluginError(no_such("texture feature", name, FEATURES, "there are"))
        if not features or len(set(features)) != len(features):
            raise PluginError(f"texture features have to be some, each once, not {list(features)}")
        if threshold < 0 or edge_limit < 0:
            raise PluginError(
                f"threshold {threshold} and edge_limit {edge_limit} have to be 0 or more"
            )
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise PluginError(f"value_range {list(value_range)} has to be two rising numbers")
        self.names = tuple(features)
        self.threshold, self.edge_limit = threshold, edge_limit
        self.low, self.width = value_range[0], value_range[1] - value_range[0]
        # Only differences matter to all features but the mean: the range's width is a factor,
        # and costs nothing where it hides in these weights. (A product and a sum, because
        # onnxruntime takes five times as long for a convolution to one channel.)
        self.register_buffer("luma", self.width * torch.tensor(LUMA).reshape(1, 3, 1, 1))

    def forward(self, tiles: Tensor) -> Tensor:
        padded = F.pad(tiles, (1, 1, 1, 1), mode="replicate")
        found: dict[str, Tensor] = {}
        if not set(self.names).isdisjoint(VARIATION):
            found |= self._variation(tiles, padded)
        if not set(self.names) <= set(VARIATION):
            found |= self._grey_features((padded * self.luma).sum(1, keepdim=True))
        return torch.cat([found[name] for name in self.names], dim=1)

    def _variation(self, tiles: Tensor, padded: Tensor) -> dict[str, Tensor]:
        # Σ_j (x_i − x_j)² over the window = Σ x_j² + x_i·(9·x_i − 2·Σ x_j): two box sums, which
        # onnxruntime runs five times as fast as eight differences.
        squares = F.avg_pool2d(padded * padded, 3, stride=1)
        means = F.avg_pool2d(padded, 3, stride=1)
        vsp = squares + tiles * (tiles - 2 * means)
        unit = 9 * self.width**2  # a mean over nine pixels, in units of [0,1]², → the paper's sum
        limit = self.threshold / unit
        found = {}
        if "tvat" in self.names:
            total = vsp.sum(1, keepdim=True)
            found["tvat"] = unit * (total * (total >= limit).float()).mean((2, 3))
        exceeds = (vsp > limit).float().sum(1, keepdim=True)
        etvat = unit * (vsp * (exceeds >= 2).float()).mean((2, 3))
        found |= dict(zip(VARIATION[1:], etvat.split(1, dim=1), strict=True))
        return found

    def _grey_features(self, padded: Tensor) -> dict[str, Tensor]:
        grey = padded[:, :, 1:-1, 1:-1]
        found = {}
        if not set(self.names).isdisjoint(EDGES):
            edges = sobel(padded)
            limited = edges * (edges > self.edge_limit).float()
            found["edge_score"] = edges.mean((2, 3))
            found["limited_edge_score"] = limited.mean((2, 3))
            found["edge_max"] = edges.amax((2, 3))
        for name, factor in RESIDUALS.items():
            if name in self.names:
                lost = grey - _blurred(grey, factor)
                found[name] = (lost * lost).mean((2, 3))
        if not set(self.names).isdisjoint(LAPLACIAN):
            found |= _laplacian(9 * (grey - F.avg_pool2d(padded, 3, stride=1)))
        if not set(self.names).isdisjoint((*STRUCTURE, "gradient_x", "gradient_y")):
            found |= _structure(padded)
        mean = grey.mean((2, 3))
        found["mean"] = mean + self.low
        spread = grey - mean[:, :, None, None]
        found["contrast"] = (spread * spread).mean((2, 3)).sqrt()
        return found


def sobel(padded: Tensor) -> Tensor:
    """Sobel gradient magnitude (n,c,h,w) of maps (n,c,h+2,w+2) that carry one border pixel."""
    across = padded[:, :, :, 2:] - padded[:, :, :, :-2]
    smooth = padded[:, :, :, 2:] + 2 * padded[:, :, :, 1:-1] + padded[:, :, :, :-2]
    gx = across[:, :, 2:] + 2 * across[:, :, 1:-1] + across[:, :, :-2]
    gy = smooth[:, :, 2:] - smooth[:, :, :-2]
    return (gx * gx + gy * gy).sqrt()


def _laplacian(response: Tensor) -> dict[str, Tensor]:
    squared = response * response
    energy = squared.mean((2, 3))
    fourth = (squared * squared).mean((2, 3))
    values = response.abs().mean((2, 3)), energy, squared.amax((2, 3)).sqrt(), fourth
    found = dict(zip(LAPLACIAN, values, strict=True))
    found["laplacian_peaks"] = fourth / (energy * energy).clamp(min=EPSILON)
    return found


def _structure(padded: Tensor) -> dict[str, Tensor]:
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    products = torch.cat([across * across, down * down, across * down], dim=1)
    xx, yy, xy = F.avg_pool2d(products, WINDOW, stride=1).split(1, dim=1)
    total = (xx + yy).mean((2, 3))
    difference = ((xx - yy) * (xx - yy) + 4 * xy * xy).sqrt()  # a − b
    oriented = difference.mean((2, 3))
    means = products.mean((2, 3))
    values = (
        oriented,
        total - oriented,
        difference.amax((2, 3)),
        oriented / total.clamp(min=EPSILON),
    )
    found = dict(zip(STRUCTURE, values, strict=True))
    found["gradient_x"], found["gradient_y"] = means[:, :1], means[:, 1:2]
    return found


def _blurred(grey: Tensor, factor: int) -> Tensor:
    small = F.avg_pool2d(grey, factor)
    return F.interpolate(small, size=grey.shape[2:], mode="bilinear", align_corners=False)
