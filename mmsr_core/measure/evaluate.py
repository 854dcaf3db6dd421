"""Quality against time: bicubic, every expert on the whole image, and the routed engine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import ImageError
from mmsr_core.measure.metrics import psnr_y, ssim_y
from mmsr_core.runtime import image
from mmsr_core.runtime.engine import Engine, Result
from mmsr_core.runtime.tiles import Floats

BICUBIC = "bicubic"


@dataclass(frozen=True)
class Row:
    """One way to upscale: mean Y-PSNR (dB) and Y-SSIM, total seconds and MACs of the folder."""

    name: str
    psnr_y: float
    ssim_y: float
    seconds: float
    macs: float


@dataclass(frozen=True)
class Evaluation:
    """The rows of one folder, cheapest first, and the share of tiles that each class got."""

    model: str
    device: str
    images: int
    rows: tuple[Row, ...]
    classes: dict[str, float]
    stages: dict[str, float]
    """Seconds of the routed engine by stage, over the folder."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class _Answer:
    pixels: Floats
    macs: float
    result: Result | None = None


Method = Callable[[Floats], _Answer]


def evaluate(
    engine: Engine,
    folder: Path,
    efforts: Sequence[float] = (),
    repeats: int = 3,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Evaluation:
    """Make LR from the HR images in `folder`, upscale it every way, and measure.

    Runs are interleaved: for every image each way runs in turn, `repeats` times, and its time is
    the median; so a machine that slows down slows all of them. Time covers an LR array in memory
    to an upscaled array in memory. `efforts` adds a row `routed@E` each.
    """
    methods = _methods(engine, efforts)
    files = image.find_images(folder)
    quality: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    seconds = dict.fromkeys(methods, 0.0)
    macs = dict.fromkeys(methods, 0.0)
    cells = np.zeros(len(engine.manifest.classes))
    stages: dict[str, float] = {}
    scale = engine.manifest.scale
    for number, path in enumerate(files):
        hr = image.read(path).rgb
        if min(hr.shape[:2]) < 4 * scale + 11:
            raise ImageError(f"{path}: {hr.shape[1]}x{hr.shape[0]} is too small to be measured")
        hr, lr = image.degrade(hr, scale)
        if number == 0:
            for method in methods.values():
                method(lr)  # first runs pay for memory and threads
        times: dict[str, list[float]] = {name: [] for name in methods}
        answers = {}
        for _ in range(repeats):
            for name, method in methods.items():
                started = time.perf_counter()
                answers[name] = method(lr)
                times[name].append(time.perf_counter() - started)
        for name, answer in answers.items():
            pair = psnr_y(answer.pixels, hr, scale), ssim_y(answer.pixels, hr, scale)
            quality[name].append(pair)
            seconds[name] += float(np.median(times[name]))
            macs[name] += answer.macs
        routed = answers["routed"].result
        assert routed is not None
        cells += np.bincount(routed.plan.routes.ravel(), minlength=len(cells))
        for stage, spent in routed.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + spent
        progress("images", number + 1, len(files))
    rows = []
    for name in methods:
        psnr, ssim = np.mean(quality[name], axis=0)
        rows.append(Row(name, float(psnr), float(ssim), seconds[name], macs[name]))
    manifest = engine.manifest
    return Evaluation(
        model=f"{manifest.name}@{manifest.version}",
        device=engine.device.name,
        images=len(files),
        rows=tuple(rows),
        classes=dict(zip(manifest.classes, (cells / cells.sum()).tolist(), strict=True)),
        stages=stages,
    )


def _methods(engine: Engine, efforts: Sequence[float]) -> dict[str, Method]:
    """Every row's way to upscale, cheapest expert first."""
    scale = engine.manifest.scale

    def bicubic(lr: Floats) -> _Answer:
        height, width = lr.shape[0] * scale, lr.shape[1] * scale
        return _Answer(image.resize(lr, height, width), 0.0)

    def whole(name: str, macs: float) -> Method:
        return lambda lr: _Answer(engine.run_expert(name, lr), macs * lr.shape[0] * lr.shape[1])

    def routed(effort: float | None) -> Method:
        def method(lr: Floats) -> _Answer:
            result = engine.upscale(lr, effort)
            return _Answer(result.pixels, result.macs, result)

        return method

    methods: dict[str, Method] = {BICUBIC: bicubic}
    for expert in sorted(engine.manifest.experts, key=lambda expert: expert.cost):
        methods[expert.name] = whole(expert.name, expert.macs)  # a bicubic expert is its own row
    methods["routed"] = routed(None)
    for effort in efforts:
        methods[f"routed@{effort:g}"] = routed(effort)
    return methods
