"""A codec of ours and the standard ones, over the same images: rate, distortion, time."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.measure.codecs.contenders import Contender, standard_codecs
from mmsr_core.measure.codecs.curve import bd_rate, decibels
from mmsr_core.measure.metrics import ms_ssim_rgb, psnr_rgb
from mmsr_core.runtime.codec import residual
from mmsr_core.runtime.codec.compress import Compressing, Setting
from mmsr_core.runtime.codec.file import Codecs
from mmsr_core.runtime.codec.transform import Codec
from mmsr_core.runtime.image import find_images, quantize, read
from mmsr_core.runtime.tiles import Floats

PAPER = ((3, 50), (4, 40), (5, 35), (6, 30), (7, 25))
"""Bits and quantiser parameter of the paper's five points (section 3)."""
_LAYERED = 8
"""Settings with a residual that are measured: as many as of a standard codec."""
_LEAST = 176
_COLUMNS = ("bpp", "psnr", "ms_ssim", "encode", "decode", "residual")


@dataclass(frozen=True)
class Row:
    """A codec at one setting, of ours or of its own quality: means over the images. `encode` and
    `decode` in seconds an image, `residual` the share of the bits that the residual layer takes."""

    codec: str
    setting: Setting | int
    bpp: float
    psnr: float
    ms_ssim: float
    encode: float
    decode: float
    residual: float

    def facts(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self) | {"setting": str(self.setting)}


@dataclass(frozen=True)
class Rates:
    """What was measured. `bd` gives, against each standard codec, the BD-rate of ours in PSNR and
    in MS-SSIM (in decibels); negative is better."""

    model: str
    device: str
    images: int
    rows: tuple[Row, ...]

    @property
    def bd(self) -> dict[str, tuple[float, float]]:
        """See above; ours is all its rows together, the best at each rate."""
        return self._against([row for row in self.rows if row.codec == self.model])

    @property
    def bd_base(self) -> dict[str, tuple[float, float]]:
        """The same of our base layer alone."""
        ours = [row for row in self.rows if row.codec == self.model]
        alone = [row for row in ours if isinstance(row.setting, Setting) and row.setting.qp is None]
        return self._against(alone)

    def _against(self, ours: Sequence[Row]) -> dict[str, tuple[float, float]]:
        found = {}
        for name in dict.fromkeys(row.codec for row in self.rows if row.codec != self.model):
            others = [row for row in self.rows if row.codec == name]
            psnr = bd_rate(
                [(row.bpp, row.psnr) for row in others], [(row.bpp, row.psnr) for row in ours]
            )
            similar = bd_rate(
                [(row.bpp, decibels(row.ms_ssim)) for row in others],
                [(row.bpp, decibels(row.ms_ssim)) for row in ours],
            )
            found[name] = (psnr, similar)
        return found

    def as_json(self) -> dict[str, Any]:
        """For a file; what can't be compared is null."""
        facts = {"model": self.model, "device": self.device, "images": self.images}
        bd = {"bd_rate": _named(self.bd), "bd_rate_base": _named(self.bd_base)}
        return facts | {"rows": [row.facts() for row in self.rows]} | bd

    def as_table(self) -> list[list[object]]:
        """For a file of lines."""
        heads: list[object] = ["codec", "setting", *_COLUMNS]
        return [heads, *(list(row.facts().values()) for row in self.rows)]


def _named(bd: dict[str, tuple[float, float]]) -> dict[str, dict[str, float | None]]:
    numbers = {name: [None if value != value else value for value in bd[name]] for name in bd}
    return {name: {"psnr": psnr, "ms_ssim": ssim} for name, (psnr, ssim) in numbers.items()}


def settings_of(codec: Codec) -> tuple[Setting, ...]:
    """The base layer at every number of bits, and settings with a residual layer, where that can be
    coded here: some of the codec's own, spread over them, or else the paper's."""
    base = [Setting(bits) for bits in range(2, 9)]
    if not residual.can_encode():
        return tuple(base)
    own = [Setting(p.bits, p.qp) for p in codec.manifest.qualities if p.qp is not None]
    places = np.linspace(0, len(own) - 1, min(len(own), _LAYERED)).round().astype(int)
    own = [own[place] for place in places]
    return (*base, *(own or [Setting(bits, qp) for bits, qp in PAPER]))


def measure_rates(
    codec: Codec,
    images: Path,
    settings: Sequence[Setting],
    progress: Callable[[str, int, int], None],
    alone: bool = False,
) -> Rates:
    """Code every image below a folder with every setting, and unless `alone` with every standard
    codec.

    ImageError when an image is smaller than MS-SSIM needs.
    """
    paths = find_images(images)
    contenders = () if alone else tuple(standard_codecs())
    found: dict[tuple[str, Setting | int], list[tuple[float, ...]]] = {}
    name = codec.manifest.name
    with tempfile.TemporaryDirectory() as folder:
        for index, path in enumerate(paths):
            progress("images", index, len(paths))
            image = quantize(read(path).rgb)
            if min(image.shape[:2]) < _LEAST:
                raise ImageError(f"{path}: MS-SSIM needs {_LEAST} pixels to a side; leave it out")
            work = Compressing(codec, path)
            for setting in settings:
                row = _ours(work, image, setting, Path(folder) / "coded.mmc")
                found.setdefault((name, setting), []).append(row)
            for contender in contenders:
                for value in contender.settings:
                    row = _standard(contender, image, value)
                    found.setdefault((contender.name, value), []).append(row)
    progress("images", len(paths), len(paths))
    rows = (Row(*key, *_means(values)) for key, values in found.items())
    return Rates(name, codec.device.name, len(paths), tuple(rows))


def _means(values: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.mean(list(values), axis=0))


def _ours(work: Compressing, image: Any, setting: Setting, target: Path) -> Any:
    from mmsr_core.runtime.image import open_image

    facts = work.write(target, setting)
    clock = time.perf_counter()
    opened = open_image(target, codecs=Codecs(lambda name, version: work.codec))
    decoded = np.concatenate(list(opened.colour.strips(256)))
    seconds = time.perf_counter() - clock
    share = facts["residual_bytes"] / facts["bytes"]
    return (*_quality(image, decoded, target.stat().st_size), facts["seconds"], seconds, share)


def _standard(contender: Contender, image: Any, value: int) -> Any:
    clock = time.perf_counter()
    data = contender.encode(image, value)
    middle = time.perf_counter()
    decoded = contender.decode(data)
    end = time.perf_counter()
    scaled = decoded.astype(np.float32) / np.float32(255)
    return (*_quality(image, scaled, len(data)), middle - clock, end - middle, 0.0)


def _quality(image: Any, decoded: Floats, size: int) -> tuple[float, float, float]:
    original = image.astype(np.float32) / np.float32(255)
    pixels = image.shape[0] * image.shape[1]
    return 8 * size / pixels, psnr_rgb(decoded, original), ms_ssim_rgb(decoded, original)
