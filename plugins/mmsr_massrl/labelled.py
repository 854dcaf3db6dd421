"""Labelled images, decoded, scaled and cropped when they are asked for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
HELD = 2**30
"""Bytes of decoded images that are kept rather than read again."""


@dataclass(frozen=True)
class Images:
    """Labelled images, read when they are asked for; `labels` (n,) are indices into the classes."""

    fetch: Callable[[str], bytes]
    names: tuple[str, ...]
    labels: Ints
    pixels: Bytes | None = None
    """What `read` would give at one side, where that is held in memory."""

    def __len__(self) -> int:
        return len(self.names)

    def pick(self, rows: Ints) -> "Images":
        """Some of the images, in the order of `rows`."""
        names = tuple(self.names[row] for row in rows)
        pixels = None if self.pixels is None else self.pixels[rows]
        return Images(self.fetch, names, self.labels[rows], pixels)

    def held(self, side: int, most: int = HELD) -> "Images":
        """The same, read once and for all, if that takes no more than so many bytes."""
        if len(self) * side**2 * 3 > most:
            return self
        with ThreadPoolExecutor() as pool:
            return replace(self, pixels=self.read(side, pool))

    def side(self, most: int = 224) -> int:
        """The short side of the first image, or `most`."""
        first = _decoded(self.fetch(self.names[0]), self.names[0])
        return min(most, *map(int, first.shape[:2]))

    def read(self, side: int, pool: ThreadPoolExecutor) -> Bytes:
        """All of them (n,side,side,3): the short side is scaled to `side`, the middle cut out."""
        if self.pixels is not None and self.pixels.shape[1] == side:
            return self.pixels
        found = list(pool.map(lambda name: _fitted(self.fetch(name), side, name), self.names))
        return np.stack(found)

    def batches(
        self, size: int, side: int, order: Ints | None = None
    ) -> Iterator[tuple[Bytes, Ints]]:
        """Images and labels in batches of about `size`, evenly cut; the next is read meanwhile."""
        rows: Ints = np.arange(len(self)) if order is None else order
        parts = np.array_split(rows, max(1, -(-len(rows) // size)))
        with ThreadPoolExecutor() as readers, ThreadPoolExecutor(1) as ahead:
            picked = [self.pick(part) for part in parts]
            coming = ahead.submit(picked[0].read, side, readers)
            for part, following in pairwise([*picked, None]):
                ready = coming.result()
                if following is not None:
                    coming = ahead.submit(following.read, side, readers)
                assert part is not None
                yield ready, part.labels


def _decoded(data: bytes, name: str) -> Bytes:
    """An image (h,w,3) in OpenCV's order, turned upright; ImageError when it is none."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty file, and of more pixels than OpenCV takes
        picture = None
    if picture is None:
        raise ImageError(f"{name}: not an image that can be decoded")
    return np.asarray(picture, np.uint8)


def _fitted(data: bytes, side: int, name: str) -> Bytes:
    picture = _decoded(data, name)
    height, width = picture.shape[:2]
    factor = side / min(height, width)
    if factor != 1:
        size = max(side, round(width * factor)), max(side, round(height * factor))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        picture = np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    cut = picture[top : top + side, left : left + side]
    return np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2RGB), np.uint8)
