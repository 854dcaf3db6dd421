"""Colour carried on into what is transparent, so that upscaling mixes no hidden colour in."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.image.resize import quantize
from mmsr_core.runtime.tiles import Floats

REACH = 32
"""Pixels that colour is carried: further than any expert we know looks."""
_RADII = (1, 3, 9, REACH)


def extended(colour: Floats, alpha: Floats) -> Floats:
    """Colour (h,w,3) where invisible pixels show the mean of the visible ones around them.

    The mean over the smallest window in which anything is visible, weighted by alpha; a pixel
    with nothing visible within `REACH` keeps its own colour. Every pixel is a function of those
    within `REACH` of it and of nothing else, bit by bit, so strips of an image give what the
    whole gives: sums of whole numbers in float64 know no order.
    """
    rows, columns = (_around(np.flatnonzero((alpha > 0).any(axis))) for axis in (1, 0))
    near = alpha[rows, columns]
    hidden = near <= 0
    if not hidden.any():
        return colour
    made = colour.copy()
    made[rows, columns] = _filled(colour[rows, columns], near, hidden)
    return made


def _around(visible: npt.NDArray[np.intp]) -> slice:
    """The places within `REACH` of those that are visible."""
    if not visible.size:
        return slice(0, 0)
    return slice(max(0, int(visible[0]) - REACH), int(visible[-1]) + REACH + 1)


def _filled(colour: Floats, alpha: Floats, hidden: npt.NDArray[np.bool_]) -> Floats:
    weight = quantize(alpha, 8).astype(np.float64)
    weight[~hidden] = np.maximum(weight[~hidden], 1)
    sums = np.dstack([quantize(colour, 16) * weight[..., None], weight])
    made = colour.copy()
    for radius in _RADII:
        side = 2 * radius + 1
        window = cv2.boxFilter(
            sums, cv2.CV_64F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        found = hidden & (window[..., 3] > 0.5)
        made[found] = window[found, :3] / (window[found, 3:] * 65535)
        hidden = hidden & ~found
        if not hidden.any():
            break
    return made


def extended_strips(strips: Iterator[tuple[Floats, Floats]], rows: int) -> Iterator[Floats]:
    """`extended` over strips of colour and alpha, each of `rows` rows but the last."""
    above = -(-REACH // rows)
    held: list[tuple[Floats, Floats]] = []
    done = 0
    first = 0
    for strip in strips:
        held.append(strip)
        while first + len(held) - done > above:
            yield _middle(held, done - first)
            done += 1
            while done - first > above:
                held.pop(0)
                first += 1
    while done < first + len(held):
        yield _middle(held, done - first)
        done += 1


def _middle(held: list[tuple[Floats, Floats]], index: int) -> Floats:
    """One strip of those held, extended with all of them around it."""
    colour, alpha = held[index]
    if not (alpha <= 0).any():
        return colour
    before = sum(len(one) for one, _ in held[:index])
    top = max(0, before - REACH)
    rows = slice(top, before + len(colour) + REACH)
    around, cover = (np.concatenate(parts)[rows] for parts in zip(*held, strict=True))
    return extended(around, cover)[before - top :][: len(colour)].copy()
