"""The operations of the policy space by name, and what a level in [0,1] means to each.

Eighteen are the paper's extended space of RandAugment; `Contrast`, `Brightness`, `Rotate` and
`Cutout` occur in the lists that AutoAugment and Fast AutoAugment published.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmsr_massrl import colour, shape

Amount = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Op:
    """One operation.

    `apply` takes images (n,3,h,w) in [0,1] and amounts (n,...); `amount` makes these of levels
    (n,) in [0,1] and of draws (n,2) from [0,1). `range` says what levels 0 to 1 mean.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    amount: Amount
    range: str


def _none(level: Tensor, draws: Tensor) -> Tensor:
    return level


def _blended(level: Tensor, draws: Tensor) -> Tensor:
    return 0.1 + 1.8 * level


def _either_way(most: float) -> Amount:
    return lambda level, draws: torch.where(draws[:, 0] < 0.5, -most * level, most * level)


def _around(centre: float, most: float) -> Amount:
    return lambda level, draws: centre + most * level * (2 * draws[:, 0] - 1)


def _bits(level: Tensor, draws: Tensor) -> Tensor:
    return 8 - (4 * level).round()


def _threshold(level: Tensor, draws: Tensor) -> Tensor:
    return 256 / 255 * (1 - level)


def _deviation(level: Tensor, draws: Tensor) -> Tensor:
    # SimCLR's 0.1 to 2 pixels of an image of 224.
    return (0.1 + (2 * level - 0.1).clamp_min(0) * draws[:, 0]) / 224


def _square(level: Tensor, draws: Tensor) -> Tensor:
    return torch.cat([0.2 * level.unsqueeze(1), draws], dim=1)


def _cutout(images: Tensor, amount: Tensor) -> Tensor:
    """Grey out a square; `amount` (n,3) is its side, its middle across and its middle down, in
    shares of the shorter side, of the width and of the height."""
    height, width = images.shape[-2:]
    half = 0.5 * min(height, width) * amount[:, 0].reshape(-1, 1, 1)
    middle_x, middle_y = (amount[:, i].reshape(-1, 1, 1) for i in (1, 2))
    x = torch.arange(width, device=images.device).reshape(1, 1, -1) + 0.5
    y = torch.arange(height, device=images.device).reshape(1, -1, 1) + 0.5
    hidden = ((x - width * middle_x).abs() < half) & ((y - height * middle_y).abs() < half)
    return torch.where(hidden.unsqueeze(1), shape.OUTSIDE, images)


TRANSLATION = 150 / 331
"""AutoAugment's 150 pixels of an image of 331."""
_BLENDS = "blended with its opposite by a factor from 0.1 to 1.9"

OPS = {
    "AutoContrast": Op(colour.auto_contrast, _none, "none"),
    "Equalize": Op(colour.equalize, _none, "none"),
    "Invert": Op(colour.invert, _none, "none"),
    "Posterize": Op(colour.posterize, _bits, "8 to 4 bits"),
    "Solarize": Op(colour.solarize, _threshold, "threshold 256 to 0, of 255"),
    "Sharpness": Op(colour.sharpness, _blended, _BLENDS),
    "Color": Op(colour.color, _blended, _BLENDS),
    "SolarizeAdd": Op(colour.solarize_add, lambda level, _: 110 / 255 * level, "0 to 110 of 255"),
    "ShearX": Op(shape.shear_x, _either_way(0.3), "±0 to 0.3"),
    "ShearY": Op(shape.shear_y, _either_way(0.3), "±0 to 0.3"),
    "TranslateX": Op(shape.translate_x, _either_way(TRANSLATION), "±0 to 0.45 of the width"),
    "TranslateY": Op(shape.translate_y, _either_way(TRANSLATION), "±0 to 0.45 of the height"),
    "rand_brightness": Op(colour.brightness, _around(1, 0.8), "drawn from 1 ± 0 to 0.8"),
    "rand_contrast": Op(colour.contrast, _around(1, 0.8), "drawn from 1 ± 0 to 0.8"),
    "rand_saturation": Op(colour.color, _around(1, 0.8), "drawn from 1 ± 0 to 0.8"),
    "rand_hue": Op(colour.hue, _around(0, 0.2), "drawn from ± 0 to 0.2 of the circle"),
    "rand_blur": Op(colour.blur, _deviation, "drawn from 0.1 to 0.1–2 pixels of 224"),
    "color_drop": Op(colour.color_drop, _none, "none"),
    "Contrast": Op(colour.contrast, _blended, _BLENDS),
    "Brightness": Op(colour.brightness, _blended, _BLENDS),
    "Rotate": Op(shape.rotate, _either_way(30), "±0 to 30 degrees"),
    "Cutout": Op(_cutout, _square, "a grey square of 0 to 0.2 of the side"),
}
EXTENDED = tuple(OPS)[:18]
"""The paper's extended space of RandAugment (section 3.2)."""
NUMBERS = {name: number for number, name in enumerate(OPS)}
"""Where an operation stands among OPS."""
