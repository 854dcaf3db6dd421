"""A codec's two graphs on images of any size: tile by tile, no border to be seen."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.bundle import CodecBundle
from mmsr_core.runtime.codec.codemap import Quantised
from mmsr_core.runtime.codec.entropy import Models
from mmsr_core.runtime.codec.manifest import CodecManifest, Transform
from mmsr_core.runtime.codec.quantiser import Quantiser
from mmsr_core.runtime.device import Device
from mmsr_core.runtime.session import Session
from mmsr_core.runtime.source import Source, Window
from mmsr_core.runtime.tiles import Box, Floats

CELL = 8
"""Pixels to a side of what becomes one code of each channel."""
_WIDEST = 96
_AREA = 64 * _WIDEST
"""Cells of a tile: 768×512 pixels are one."""
_MOST_WHOLE = 2**14
"""Cells of an image that is still done at once when a graph looks at all of it."""


@dataclass(frozen=True)
class Codec:
    """A codec's bundle on a device; its graphs are opened when they are needed."""

    bundle: CodecBundle
    device: Device
    threads: int | None = None

    @property
    def manifest(self) -> CodecManifest:
        """The bundle's."""
        return self.bundle.manifest

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that tell whether files of another copy of it decode alike here."""
        facts = self.manifest
        hashes = (facts.files[facts.decoder.graph], facts.files[facts.tables])
        return hashlib.sha256("".join(hashes).encode()).digest()[:8]

    @cached_property
    def models(self) -> Models:
        """How numbers are coded; BundleError when the tables are not sound."""
        tables = self.bundle.graph(self.manifest.tables)
        origin = f"{self.bundle.directory}: {self.manifest.tables}"
        return Models.read(tables, self.manifest.channels, origin)

    @cached_property
    def _encoder(self) -> Session:
        return self._session(self.manifest.encoder)

    @cached_property
    def _decoder(self) -> Session:
        return self._session(self.manifest.decoder)

    def _session(self, transform: Transform) -> Session:
        graph = self.bundle.graph(transform.graph)
        origin = f"{self.manifest.name}: {transform.graph}"
        return Session(graph, self.device, origin, self.threads)

    def analyse(self, source: Source) -> Floats:
        """The code map (c,h/8,w/8) of an image; its border is repeated up to whole cells.

        ImageError when it is too large for an encoder that looks at the whole image.
        """
        height, width = cells_of(source.height, source.width)
        codes = np.empty((self.manifest.channels, height, width), np.float32)
        radius = self.manifest.encoder.radius
        margin = None if radius is None else -(-radius // CELL)
        window = Window(source)
        for box, around in _tiles(height, width, margin):
            pixels = around.scaled(CELL)
            bottom = min(pixels.bottom, source.height)
            inside = Box(pixels.top, bottom, pixels.left, min(pixels.right, source.width))
            window.move(inside.top, inside.bottom)
            missing = (pixels.bottom - inside.bottom, pixels.right - inside.right)
            tile = np.pad(window.cut(inside), ((0, missing[0]), (0, missing[1]), (0, 0)), "edge")
            image = np.ascontiguousarray(tile.transpose(2, 0, 1)[None])
            rows, columns = around.bottom - around.top, around.right - around.left
            answer = self._encoder.run(image, "codes", (1, len(codes), rows, columns))[0]
            codes[:, box.top : box.bottom, box.left : box.right] = answer[:, *_within(box, around)]
        return codes

    def synthesise(
        self, quantiser: Quantiser, numbers: Quantised, height: int, width: int
    ) -> Iterator[Floats]:
        """The image (height,width,3) of a code map in strips, float32 in [0,1]."""
        margin = self.manifest.decoder.radius
        strip: Floats | None = None
        _, rows, columns = numbers.shape
        for box, around in _tiles(rows, columns, margin):
            part = numbers[:, around.top : around.bottom, around.left : around.right]
            codes = quantiser.codes(part.astype(np.int64))[None]
            shape = (1, 3, codes.shape[2] * CELL, codes.shape[3] * CELL)
            answer = self._decoder.run(codes, "images", shape)[0]
            inner = answer[:, *_within(box.scaled(CELL), around.scaled(CELL))].transpose(1, 2, 0)
            pixels = box.scaled(CELL)
            if strip is None:
                strip = np.empty((min(pixels.bottom, height) - pixels.top, width, 3), np.float32)
            right = min(pixels.right, width)
            strip[:, pixels.left : right] = inner[: len(strip), : right - pixels.left]
            if right == width:
                yield np.clip(strip, 0, 1, out=strip)
                strip = None


def cells_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the code map of an image."""
    return -(-height // CELL), -(-width // CELL)


def _tiles(height: int, width: int, margin: int | None) -> Iterator[tuple[Box, Box]]:
    """Tiles of so many cells, row by row, each with what a graph has to see for it."""
    if margin is None:
        if height * width > _MOST_WHOLE:
            raise ImageError(
                f"{width * CELL}x{height * CELL} pixels are too many for a codec that looks at the "
                "whole image; use another codec"
            )
        whole = Box(0, height, 0, width)
        yield whole, whole
        return
    columns = -(-width // -(-width // _WIDEST))
    rows = max(1, _AREA // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            box = Box(top, min(top + rows, height), left, min(left + columns, width))
            yield box, box.grown(margin, height, width)


def _within(box: Box, around: Box) -> tuple[slice, slice]:
    """Rows and columns of a box in what surrounds it."""
    rows = slice(box.top - around.top, box.bottom - around.top)
    return rows, slice(box.left - around.left, box.right - around.left)
