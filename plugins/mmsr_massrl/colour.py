"""The operations that change colours: images (n,3,h,w) in [0,1] → the same, one amount an image.

They never wait for the device that the images are on. Those that AutoAugment has are equal to
Pillow's up to its rounding to 8 bits.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow's conversion to "L"."""
LEVELS = 256
STRONGEST = 0.01
"""Standard deviation, in shares of a side, that the blur's kernel has room for."""


def invert(images: Tensor, amount: Tensor) -> Tensor:
    """1 − x; the amount counts for nothing."""
    return 1 - images


def auto_contrast(images: Tensor, amount: Tensor) -> Tensor:
    """Stretch every channel to [0,1]; a flat channel stays. The amount counts for nothing."""
    low = images.amin(dim=(2, 3), keepdim=True)
    high = images.amax(dim=(2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (images - low) / span.clamp_min(1e-6), images)


def equalize(images: Tensor, amount: Tensor) -> Tensor:
    """Flatten every channel's histogram of 256 levels; the amount counts for nothing."""
    n, channels, height, width = images.shape
    levels = _levels(images).reshape(n * channels, height * width)
    histogram = torch.zeros(n * channels, LEVELS, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    # Pillow's table: the pixels of the highest level there is are not counted in the step.
    ranks = torch.arange(LEVELS, device=images.device)
    highest = torch.where(histogram > 0, ranks, 0).amax(dim=1, keepdim=True)
    step = (height * width - histogram.gather(1, highest)) // (LEVELS - 1)
    before = histogram.cumsum(1) - histogram
    table = ((step // 2 + before) // step.clamp_min(1)).clamp_max(LEVELS - 1)
    several = (histogram > 0).sum(dim=1, keepdim=True) > 1
    table = torch.where((step > 0) & several, table, ranks)
    return (table.gather(1, levels).to(images.dtype) / (LEVELS - 1)).reshape(images.shape)


def posterize(images: Tensor, amount: Tensor) -> Tensor:
    """Keep the highest bits of 8; `amount` is how many."""
    low = (2 ** (8 - amount.round())).to(torch.int64).reshape(-1, 1, 1, 1)
    levels = _levels(images)
    return (levels - levels % low).to(images.dtype) / (LEVELS - 1)


def solarize(images: Tensor, amount: Tensor) -> Tensor:
    """Invert what is at `amount` or above it."""
    return torch.where(images < _wide(amount), images, 1 - images)


def solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    """Add `amount` to what lies under one half (level 128)."""
    added = (images + _wide(amount)).clamp(0, 1)
    return torch.where(images < 128 / 255, added, images)


def color(images: Tensor, amount: Tensor) -> Tensor:
    """Blend with the grey image: 0 is grey, 1 as it was."""
    return _blend(grey(images), images, amount)


def contrast(images: Tensor, amount: Tensor) -> Tensor:
    """Blend with the mean of the grey image: 0 is flat, 1 as it was."""
    return _blend(grey(images).mean(dim=(2, 3), keepdim=True), images, amount)


def brightness(images: Tensor, amount: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 as it was."""
    return (images * _wide(amount)).clamp(0, 1)


def sharpness(images: Tensor, amount: Tensor) -> Tensor:
    """Blend with the image smoothed by (1 1 1, 1 5 1, 1 1 1)/13: 0 is smooth, 1 as it was.

    The outermost pixels stay as they are.
    """
    if min(images.shape[-2:]) < 3:
        return images
    kernel = images.new_ones(3, 1, 3, 3) / 13
    kernel[:, :, 1, 1] = 5 / 13
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=3)
    return _blend(smooth, images, amount)


def hue(images: Tensor, amount: Tensor) -> Tensor:
    """Turn the hue by `amount` of a whole circle, in HSV."""
    most = images.amax(dim=1)
    span = most - images.amin(dim=1)
    safe = torch.where(span > 0, span, torch.ones_like(span))
    red, green, blue = ((most.unsqueeze(1) - images) / safe.unsqueeze(1)).unbind(1)
    found = torch.where(
        images[:, 0] == most,
        blue - green,
        torch.where(images[:, 1] == most, 2 + red - blue, 4 + green - red),
    )
    sixths = torch.where(span > 0, found, torch.zeros_like(found))
    turned = (sixths + 6 * amount.reshape(-1, 1, 1)) % 6
    # Each channel falls and rises along the circle, from 5, 3 and 1 sixths on.
    along = torch.stack([(turned + start) % 6 for start in (5, 3, 1)], dim=1)
    fall = torch.minimum(along, 4 - along).clamp(0, 1)
    return most.unsqueeze(1) - span.unsqueeze(1) * fall


def color_drop(images: Tensor, amount: Tensor) -> Tensor:
    """The grey image in three channels; the amount counts for nothing."""
    return grey(images).expand_as(images)


def blur(images: Tensor, amount: Tensor) -> Tensor:
    """A Gaussian blur of `amount` standard deviations in shares of the shorter side, up to 0.01;
    borders reflect. 0.009 of 224 pixels are SimCLR's strongest, 2 pixels."""
    side = min(images.shape[-2:])
    sigma = (amount * side).clamp_min(1e-3).reshape(-1, 1)
    radius = min(side - 1, max(1, math.ceil(2.5 * STRONGEST * side)))
    places = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    n, _, height, width = images.shape
    flat = images.reshape(1, n * 3, height, width)
    for across in (False, True):
        shape = (n * 3, 1, 1, -1) if across else (n * 3, 1, -1, 1)
        pads = (radius, radius, 0, 0) if across else (0, 0, radius, radius)
        padded = F.pad(flat, pads, mode="reflect")
        flat = F.conv2d(padded, weights.reshape(shape), groups=n * 3)
    return flat.reshape(images.shape)


def grey(images: Tensor) -> Tensor:
    """BT.601 luma (n,1,h,w)."""
    red, green, blue = (images[:, k : k + 1] for k in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _levels(images: Tensor) -> Tensor:
    return (images * (LEVELS - 1)).round().to(torch.int64)


def _wide(amount: Tensor) -> Tensor:
    return amount.reshape(-1, 1, 1, 1)


def _blend(other: Tensor, images: Tensor, amount: Tensor) -> Tensor:
    return (other + (images - other) * _wide(amount)).clamp(0, 1)
