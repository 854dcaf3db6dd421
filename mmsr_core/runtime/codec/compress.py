"""Compressing an image file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.runtime.atomic import replacing
from mmsr_core.runtime.codec import residual
from mmsr_core.runtime.codec.alpha import encode_alpha
from mmsr_core.runtime.codec.codemap import Quantised, encode_map
from mmsr_core.runtime.codec.container import Contents, Kind, write_container
from mmsr_core.runtime.codec.manifest import QualityPoint
from mmsr_core.runtime.codec.quantiser import MOST_BITS, Quantiser
from mmsr_core.runtime.codec.transform import Codec
from mmsr_core.runtime.image.picture import Picture, open_image
from mmsr_core.runtime.image.resize import quantize
from mmsr_core.runtime.source import Source, Window
from mmsr_core.runtime.tiles import Box, Floats

_OVER = 2.0
"""A setting that took so many times the rate on the codec's own photographs isn't tried."""


@dataclass(frozen=True)
class Setting:
    """Bits a code, and the residual's quantiser parameter; None: no residual layer."""

    bits: int
    qp: int | None = None

    def __str__(self) -> str:
        return f"B={self.bits}" + ("" if self.qp is None else f" QP={self.qp}")


@dataclass(frozen=True)
class Wanted:
    """What a file is to be: a quality in [0,1], or at most so many bits a pixel."""

    quality: float = 0.5
    bpp: float | None = None
    base_only: bool = False


@dataclass(frozen=True)
class _Base:
    data: bytes
    quantiser: Quantiser
    numbers: Quantised
    seconds: float


class Compressing:
    """One image, to be compressed with several settings: what they share is done once.

    ImageError when it can't be read.
    """

    def __init__(self, codec: Codec, path: Path) -> None:
        clock = time.perf_counter()
        self.codec = codec
        self.path = path
        self.picture = open_image(path)
        self.codes = codec.analyse(self.picture.colour)
        self.fixed: dict[Kind, bytes] = {}
        if self.picture.alpha is not None:
            self.fixed[Kind.ALPHA] = _lossless(self.picture, self.picture.alpha)
        self._bases: dict[int, _Base] = {}
        self._residuals: dict[Setting, tuple[bytes, float]] = {}
        self._seconds = time.perf_counter() - clock

    def write(self, target: Path, setting: Setting) -> dict[str, Any]:
        """Write an `.mmc` file, which appears whole or not at all; how it went.

        Sizes, bits a pixel, the setting, and the seconds that it takes alone. ImageError when the
        file can't be written, or the codec can't hold the image.
        """
        layers = self.layers(setting)
        clock = time.perf_counter()
        header, facts = self.picture.header, self.codec.manifest
        contents = Contents(header, facts.name, facts.version, self.codec.digest)
        try:
            with replacing(target) as part, part.open("wb") as file:
                size = write_container(file, contents, layers)
        except OSError as error:
            raise ImageError(f"{target}: cannot write it ({error.strerror or error})") from None
        return {
            "source": str(self.path),
            "target": str(target),
            "width": header.width,
            "height": header.height,
            "bytes": size,
            "bpp": size * 8 / (header.width * header.height),
            "bits": setting.bits,
            "qp": setting.qp,
            "residual_bytes": len(layers.get(Kind.RESIDUAL, b"")),
            "seconds": self._shared(setting) + time.perf_counter() - clock,
        }

    def _shared(self, setting: Setting) -> float:
        """The seconds that the layers of a setting took, when they were made."""
        _, residual_seconds = self._residuals.get(setting, (b"", 0.0))
        return self._seconds + self._bases[setting.bits].seconds + residual_seconds

    def layers(self, setting: Setting) -> dict[Kind, bytes]:
        base = self._base(setting.bits)
        layers = {Kind.BASE: base.data, **self.fixed}
        if setting.qp is not None:
            if setting not in self._residuals:
                clock = time.perf_counter()
                data = self._residual(base, setting.qp)
                self._residuals[setting] = (data, time.perf_counter() - clock)
            layers[Kind.RESIDUAL] = self._residuals[setting][0]
        return layers

    def base_size(self, bits: int) -> int:
        return len(self._base(bits).data) + sum(map(len, self.fixed.values()))

    def _base(self, bits: int) -> _Base:
        if bits not in self._bases:
            clock = time.perf_counter()
            try:
                coded = encode_map(self.codec.models, bits, self.codes)
            except ValueError as error:
                raise ImageError(f"{self.path}: the codec can't hold it: {error}") from None
            self._bases[bits] = _Base(*coded, time.perf_counter() - clock)
        return self._bases[bits]

    def _residual(self, base: _Base, qp: int) -> bytes:
        colour = self.picture.colour
        height, width = colour.height, colour.width
        original = Window(colour)
        held: list[Floats] = []
        coded, top, rows = [], 0, 0
        for strip in self.codec.synthesise(base.quantiser, base.numbers, height, width):
            bottom = top + len(strip)
            original.move(top, bottom)
            held.append(original.cut(Box(top, bottom, 0, width)) - strip)
            top, rows = bottom, rows + len(strip)
            while rows >= residual.TILE or (bottom == height and rows):
                whole = np.concatenate(held)
                coded.append(residual.encode_rows(whole[: residual.TILE], qp))
                held = [whole[residual.TILE :]]
                rows = len(held[0])
        return b"".join(coded)


def compress_file(
    codec: Codec, source: Path, target: Path, wanted: Wanted | Setting
) -> dict[str, Any]:
    """Compress an image file into an `.mmc` file, which appears whole or not at all.

    How it went: sizes, bits a pixel, the setting, seconds. ImageError when the image can't be
    read, the file can't be written, or no setting is as small as wanted.
    """
    clock = time.perf_counter()
    work = Compressing(codec, source)
    setting = wanted if isinstance(wanted, Setting) else _chosen(work, wanted)
    facts = work.write(target, setting)
    return facts | {"seconds": time.perf_counter() - clock}


def _chosen(work: Compressing, wanted: Wanted) -> Setting:
    points = [
        point
        for point in work.codec.manifest.qualities
        if point.qp is None or (not wanted.base_only and residual.can_encode())
    ]
    if wanted.bpp is not None:
        return _within(work, points, wanted.bpp)
    if not points:
        return Setting(1 + round(wanted.quality * (MOST_BITS - 1)))
    point = points[round(wanted.quality * (len(points) - 1))]
    return Setting(point.bits, point.qp)


def _within(work: Compressing, points: list[QualityPoint], bpp: float) -> Setting:
    """The best setting, by the codec's own table, whose layers take at most so many bits."""
    header = work.picture.header
    most = bpp * header.width * header.height / 8
    best = sorted(points, key=lambda point: (point.ms_ssim, point.psnr), reverse=True)
    settings = [Setting(p.bits, p.qp) for p in best if p.bpp <= bpp * _OVER]
    settings += [Setting(bits) for bits in range(MOST_BITS, 0, -1)]
    for setting in settings:
        if work.base_size(setting.bits) > most:
            continue
        if setting.qp is None or sum(map(len, work.layers(setting).values())) <= most:
            return setting
    least = work.base_size(1) * 8 / (header.width * header.height)
    raise ImageError(
        f"{work.path}: {bpp:g} bits a pixel are too few: it takes {least:.3g} at the least; "
        "raise --bpp"
    )


def _lossless(picture: Picture, alpha: Source) -> bytes:
    """The alpha plane, of 8 bits where the image has so many, else of 16."""
    bits: Literal[8, 16] = 8 if picture.header.bits == 8 else 16
    return encode_alpha(np.concatenate([quantize(rows, bits) for rows in alpha.strips(256)]))
