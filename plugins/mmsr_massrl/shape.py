"""The operations that move pixels: images (n,3,h,w) → the same, one amount an image.

Like Pillow's affine transform with its nearest pixel; what comes from outside is mid-grey.
"""

import torch
from torch import Tensor

OUTSIDE = 128 / 255


def shear_x(images: Tensor, amount: Tensor) -> Tensor:
    """Row y moves by `amount`·y pixels to the left."""
    return _affine(images, {"xy": amount})


def shear_y(images: Tensor, amount: Tensor) -> Tensor:
    """Column x moves by `amount`·x pixels upwards."""
    return _affine(images, {"yx": amount})


def translate_x(images: Tensor, amount: Tensor) -> Tensor:
    """Move to the left by `amount` of the width, in whole pixels."""
    return _affine(images, {"x": (amount * images.shape[-1]).round()})


def translate_y(images: Tensor, amount: Tensor) -> Tensor:
    """Move upwards by `amount` of the height, in whole pixels."""
    return _affine(images, {"y": (amount * images.shape[-2]).round()})


def rotate(images: Tensor, amount: Tensor) -> Tensor:
    """Turn around the centre by `amount` degrees, counter-clockwise."""
    height, width = images.shape[-2:]
    angle = torch.deg2rad(amount.double())
    cosine, sine = angle.cos(), angle.sin()
    middle_x, middle_y = width / 2, height / 2
    return _affine(
        images,
        {
            "xx": cosine,
            "xy": -sine,
            "x": middle_x - cosine * middle_x + sine * middle_y,
            "yx": sine,
            "yy": cosine,
            "y": middle_y - sine * middle_x - cosine * middle_y,
        },
    )


def _affine(images: Tensor, terms: dict[str, Tensor]) -> Tensor:
    """Every pixel (x, y) from (xx·x + xy·y + x, yx·x + yy·y + y), at the pixels' centres.

    Terms that are not given are the identity's.
    """
    n, channels, height, width = images.shape
    device = images.device
    identity = {"xx": 1.0, "xy": 0.0, "x": 0.0, "yx": 0.0, "yy": 1.0, "y": 0.0}
    # Doubles: a corner that falls on a pixel's edge must fall as it does in Pillow.
    of = {
        name: terms[name].to(device, torch.float64).reshape(-1, 1, 1)
        if name in terms
        else torch.full((1, 1, 1), value, dtype=torch.float64, device=device)
        for name, value in identity.items()
    }
    x = (torch.arange(width, device=device, dtype=torch.float64) + 0.5).reshape(1, 1, -1)
    y = (torch.arange(height, device=device, dtype=torch.float64) + 0.5).reshape(1, -1, 1)
    from_x = torch.floor(of["xx"] * x + of["xy"] * y + of["x"]).long().expand(n, height, width)
    from_y = torch.floor(of["yx"] * x + of["yy"] * y + of["y"]).long().expand(n, height, width)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    index = from_y.clamp(0, height - 1) * width + from_x.clamp(0, width - 1)
    flat = images.reshape(n, channels, height * width)
    moved = flat.gather(2, index.reshape(n, 1, -1).expand(n, channels, -1))
    moved = moved.reshape(images.shape)
    return torch.where(inside.unsqueeze(1), moved, OUTSIDE)
