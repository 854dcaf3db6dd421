"""The size that somebody asks for, and which passes of which scales reach it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmsr_core.errors import ImageError

ENOUGH = 4
"""Up to this factor networks do all of the enlarging; see docs/python.md for what was measured."""
REST = 2
"""Beyond it, what may be left to bicubic enlargement: one more pass would gain nothing."""
PASSES = 4
"""Passes at most."""
ROUNDING = 1e-9
"""A factor that computes a whole number of pixels but for this makes that number."""


@dataclass(frozen=True)
class Size:
    """What is asked of an upscaled image; without anything, what the model makes of it.

    Either `factor`, or `megapixels` (10⁶ pixels), or `width` and `height` in pixels, of which one
    may be missing: with both, the largest size that fits into them. The aspect is always kept.
    """

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    megapixels: float | None = None

    def __post_init__(self) -> None:
        asked = {name: value for name, value in vars(self).items() if value is not None}
        if len(asked) > 1 and asked.keys() != {"width", "height"}:
            raise ImageError(
                f"{' and '.join(asked)} can't hold together: give one of them, or width and height"
            )
        for name, value in asked.items():
            if not 0 < value < math.inf:
                raise ImageError(f"{name} {value} is not a size: it has to be above 0")
        if self.factor is not None and self.factor < 1:
            raise ImageError(f"scale {self.factor:g} would shrink: mmsr enlarges, by 1 or more")

    @property
    def plain(self) -> bool:
        """Whether nothing is asked."""
        return self == Size()

    def of(self, height: int, width: int, scale: int = 1) -> tuple[int, int]:
        """Height and width that an image of this height and width gets.

        A side is `side · factor` rounded to the nearest pixel, halves up, and at least 1; a side
        that was asked for is that to the pixel. `scale` is the factor where nothing is asked.
        ImageError when the image is larger than what is asked.
        """
        factor = self.ratio(height, width, scale)
        return max(height, _rounded(height * factor)), max(width, _rounded(width * factor))

    def ratio(self, height: int, width: int, scale: int = 1) -> float:
        """The factor by which both sides of an image of this height and width grow. See `of`."""
        if self.megapixels is not None:
            ratio = math.sqrt(self.megapixels * 1e6 / (height * width))
        elif self.width is not None or self.height is not None:
            ratio = min((self.width or math.inf) / width, (self.height or math.inf) / height)
        else:
            ratio = self.factor or scale
        if ratio < 1 - ROUNDING:
            raise ImageError(f"{width}x{height} is larger than {self}: mmsr enlarges; ask for more")
        return ratio

    def __str__(self) -> str:
        if self.width is not None and self.height is not None:
            return f"the {self.width}x{self.height} asked for"
        if self.megapixels is not None:
            return f"the {self.megapixels:g} megapixels asked for"
        side = "width" if self.width is not None else "height"
        return f"the {side} of {self.width or self.height} asked for"


def _rounded(value: float) -> int:
    """To the nearest integer, halves up."""
    return math.floor(value + 0.5 + ROUNDING)


def passes(factor: float, scales: Iterable[int]) -> tuple[int, ...]:
    """The scales that run one after the other to enlarge by `factor`.

    The smallest one that reaches it; else the largest first, and further ones until what is left
    is for bicubic resampling: to shrink what they make too much, or enlarge by `REST` at most.
    ImageError when that takes more than `PASSES`.
    """
    known = sorted(set(scales))
    found = [_next(factor, known)]
    while (rest := factor / (product := math.prod(found))) > 1 + ROUNDING:
        if product >= ENOUGH and rest <= REST + ROUNDING:
            break
        if len(found) == PASSES:
            raise ImageError(
                f"{factor:g} times larger takes more than {PASSES} passes by {known[-1]}; "
                "ask for less"
            )
        found.append(_next(rest / (REST if product >= ENOUGH else 1), known))
    return tuple(found)


def _next(factor: float, known: Sequence[int]) -> int:
    """The smallest scale that reaches a factor, or the largest."""
    return next((scale for scale in known if scale >= factor - ROUNDING), known[-1])
