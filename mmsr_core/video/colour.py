"""Y'CbCr samples to RGB and back, with a clip's own matrix, range and chroma position.

ITU-T H.273 numbers the matrices; the equations are its (8.3) to (8.8) and those for the sample
range before them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.tiles import Floats

Plane = npt.NDArray[np.integer[Any]]
"""Samples (h,w) as they are in the file: uint8, or uint16 where they have more bits."""

WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by H.273's number of the matrix."""


@dataclass(frozen=True)
class Coding:
    """How RGB is coded: H.273's matrix, bits a sample, full or limited range, and whether a
    chroma sample lies in the middle of its luma samples or over the left ones."""

    matrix: int
    bits: int
    full: bool
    centred: bool = False

    def rgb(self, planes: Sequence[Plane]) -> Floats:
        """Y, Cb, Cr at whole or half size, or Y alone → float32 RGB (h,w,3) in [0,1].

        Planes of R, G and B where the matrix is 0.
        """
        if self.matrix == 0:
            return np.asarray(cv2.merge(planes) / np.float32(2**self.bits - 1), np.float32)
        luma = planes[0].astype(np.float32)
        if len(planes) == 1:
            planes = (planes[0], *[np.full_like(planes[0], 2 ** (self.bits - 1))] * 2)
        shape = luma.shape[0], luma.shape[1]
        chroma = [self._spread(plane, shape) for plane in planes[1:]]
        rgb = cv2.transform(cv2.merge([luma, *chroma]), np.linalg.inv(self._square())[:3])
        return np.asarray(np.clip(rgb, 0, 1, out=rgb), np.float32)

    def planes(self, rgb: Floats) -> list[Plane]:
        """Float32 RGB (h,w,3) of even height and width → Y, and Cb, Cr at half height and width."""
        coded = np.asarray(cv2.transform(rgb, self._square()[:3]), np.float32)
        luma, *chroma = (coded[:, :, channel] for channel in range(3))
        return [self._rounded(luma), *(self._rounded(self._gathered(plane)) for plane in chroma)]

    def _square(self) -> npt.NDArray[np.float64]:
        """RGB in [0,1] to code values, a homogeneous 4×4."""
        red, blue = WEIGHTS[self.matrix]
        luma = np.array([red, 1 - red - blue, blue])
        cb, cr = (np.eye(3)[2] - luma) / (2 - 2 * blue), (np.eye(3)[0] - luma) / (2 - 2 * red)
        step = 2.0 ** (self.bits - 8)
        spans = (2.0**self.bits - 1,) * 2 if self.full else (219 * step, 224 * step)
        zeros = (0.0 if self.full else 16 * step), 128 * step
        square = np.eye(4)
        square[:3, :3] = luma * spans[0], cb * spans[1], cr * spans[1]
        square[:3, 3] = zeros[0], zeros[1], zeros[1]
        return square

    def _spread(self, plane: Plane, shape: tuple[int, int]) -> Floats:
        """Chroma at every luma sample, interpolated linearly."""
        height, width = shape
        if plane.shape == shape:
            return plane.astype(np.float32)
        down, across = round(height / plane.shape[0]), round(width / plane.shape[1])
        left = 0.5 / across - 0.5 if self.centred else 0.0
        place = np.array([[1 / across, 0, left], [0, 1 / down, 0.5 / down - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        spread = cv2.warpAffine(
            plane.astype(np.float32),
            place,
            (width, height),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(spread, np.float32)

    def _gathered(self, plane: Floats) -> Floats:
        """Chroma at every second row and column: the mean around its place."""
        across = [0.5, 0.5] if self.centred else [0.25, 0.5, 0.25]
        anchor = len(across) // 2 if not self.centred else 0
        kernels = np.array(across), np.array([0.5, 0.5])
        border = cv2.BORDER_REPLICATE
        mean = cv2.sepFilter2D(plane, -1, *kernels, anchor=(anchor, 0), borderType=border)
        return np.asarray(mean[::2, ::2], np.float32)

    def _rounded(self, plane: Floats) -> Plane:
        kind = np.uint8 if self.bits == 8 else np.uint16
        return np.rint(plane).clip(0, 2**self.bits - 1).astype(kind)
