"""What a reconstruction costs: squared differences and the loss of structure (Eq. 8, 9)."""

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 11
SIGMA = 1.5
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the five scales of MS-SSIM, finest first (Wang et al. 2003)."""
SMALLEST = WINDOW << (len(SCALES) - 1)
"""The shortest side that MS-SSIM has a value for."""
_LEAST = 1e-2
"""A similarity below counts as this much, so that its root has no endless gradient."""


def ms_ssim(images: Tensor, references: Tensor) -> Tensor:
    """Multi-scale structural similarity (n,) of images (n,c,h,w) in [0,1], the mean of channels.

    Gaussian window 11×11, σ = 1.5, K1 = 0.01, K2 = 0.03, windows inside, each scale the 2×2 mean
    of the one before. ValueError when a side is shorter than 176 pixels.
    """
    if min(images.shape[-2:]) < SMALLEST:
        raise ValueError(f"MS-SSIM needs sides of {SMALLEST} pixels, not {images.shape[-2:]}")
    n, channels = images.shape[:2]
    a, b = images.float().flatten(0, 1)[:, None], references.float().flatten(0, 1)[:, None]
    product = torch.ones(n * channels, device=images.device)
    for scale, weight in enumerate(SCALES):
        brightness, structure = _similarity(a, b)
        coarsest = scale == len(SCALES) - 1
        value = (brightness * structure if coarsest else structure).mean((1, 2, 3))
        product = product * value.clamp(min=_LEAST) ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product.reshape(n, channels).mean(1)


def distortion(images: Tensor, references: Tensor, weight: float = 2.0) -> Tensor:
    """2·L2 + MS-SSIM loss of each image (n,) (Eq. 8): L2 is the root of the mean square.

    The paper sums over pixels, ‖x − x′‖₂; divided by their number's root it doesn't depend on the
    size of the images, and weighs about as much as the other term; `weight` stands for its 2. In
    float32 under autocast too: in bfloat16 the windows' variances, small differences of large
    means, would be noise.
    """
    with torch.autocast(images.device.type, enabled=False):
        l2 = (images.float() - references.float()).square().mean((1, 2, 3)).add(1e-12).sqrt()
        return weight * l2 + 1 - ms_ssim(images, references)


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM's two factors at every window: brightness, and contrast with structure."""
    c1, c2 = 0.01**2, 0.03**2
    parts = torch.cat([a, b, a * a, b * b, a * b])
    mean_a, mean_b, aa, bb, ab = _blur(parts).chunk(5)
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * (ab - mean_a * mean_b) + c2) / (aa - mean_a**2 + bb - mean_b**2 + c2)
    return brightness, structure


def _blur(planes: Tensor) -> Tensor:
    """The window's weighted mean at every place where it lies inside; planes (n,1,h,w).

    Two products with band matrices: on a CPU, convolutions of one channel take ten times as long,
    more than the networks that learn from them.
    """
    rows, columns = (_bands(side, planes) for side in planes.shape[-2:])
    return rows @ planes @ columns.T


def _bands(side: int, like: Tensor) -> Tensor:
    """(side − 10, side): a row for every place of the window."""
    offsets = torch.arange(WINDOW, device=like.device, dtype=like.dtype) - WINDOW // 2
    taps = torch.exp(-offsets.square() / (2 * SIGMA**2))
    taps = (taps / taps.sum()).expand(side - WINDOW + 1, -1)
    first = torch.arange(len(taps), device=like.device)[:, None]
    places = first + torch.arange(WINDOW, device=like.device)
    return like.new_zeros(len(taps), side).scatter_(1, places, taps)
