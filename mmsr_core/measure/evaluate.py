"""Quality against time: bicubic, every expert on the whole image, and the routed engine."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mmsr_core.errors import BundleError, ImageError
from mmsr_core.measure.columns import FIDELITY, Column, directions, measure
from mmsr_core.measure.evaluation import Evaluation, Kind, Photograph, Row, means
from mmsr_core.runtime import image
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.engine import Engine, Result
from mmsr_core.runtime.tiles import Floats

BICUBIC: Final = "bicubic"
ROUTED: Final = "routed"
_RESERVED = (ROUTED, "oracle")


@dataclass(frozen=True)
class Answer:
    """What one way made of an LR image, and what it spent; `result` when the engine routed."""

    pixels: Floats
    macs: float
    result: Result | None = None


Upscale = Callable[[Floats], Answer]


@dataclass(frozen=True)
class Method:
    """One way to upscale; it fills a row."""

    kind: Kind
    upscale: Upscale


Watch = Callable[[Floats, Floats, Mapping[str, Answer]], None]
"""watch(lr, hr, answers by row): told of every image, say to work out what was possible."""


def evaluate(
    engine: Engine,
    folder: Path,
    efforts: Sequence[float] = (),
    repeats: int = 3,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    columns: Sequence[Column] = FIDELITY,
    against: Sequence[Engine] = (),
    watch: Watch = lambda lr, hr, answers: None,
) -> Evaluation:
    """Make LR from the HR images in `folder`, upscale it every way, and measure.

    Runs are interleaved: for every image each way runs in turn, `repeats` times, and its time is
    the median; so a machine that slows down slows all of them. Time covers an LR array in memory
    to an upscaled array in memory. `efforts` adds a row `routed@E` each; `against` adds a row
    each, the deepest expert of another bundle on the whole image. BundleError when such a bundle
    has another scale or is given twice, ImageError when an image is too small.
    """
    scale = engine.manifest.scale
    methods = _methods(engine, efforts) | _plain(against, scale)
    files = image.find_images(folder)
    photographs = []
    macs = dict.fromkeys(methods, 0.0)
    cells = np.zeros(len(engine.manifest.classes))
    stages: dict[str, float] = {}
    for number, path in enumerate(files):
        hr, lr = read_pair(path, scale)
        if number == 0:
            for method in methods.values():
                method.upscale(lr)  # first runs pay for memory and threads
        answers, seconds = _run(methods, lr, repeats)
        rows = {
            name: measure(columns, answer.pixels, hr, scale) | {"seconds": seconds[name]}
            for name, answer in answers.items()
        }
        photographs.append(Photograph(file_name(path, folder), hr.shape[1], hr.shape[0], rows))
        for name, answer in answers.items():
            macs[name] += answer.macs
        result = answers[ROUTED].result
        assert result is not None
        cells += np.bincount(result.plan.routes.ravel(), minlength=len(cells))
        for stage, spent in result.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + spent
        watch(lr, hr, answers)
        progress("images", number + 1, len(files))
    better = directions(columns)
    values, measured = means(photographs, list(methods), list(better))
    return Evaluation(
        model=model_title(engine.manifest),
        device=engine.device.name,
        images=len(files),
        rows=tuple(
            Row(
                name=name,
                kind=method.kind,
                values=values[name],
                seconds=sum(photo.rows[name]["seconds"] for photo in photographs),
                macs=macs[name],
            )
            for name, method in methods.items()
        ),
        classes=dict(zip(engine.manifest.classes, (cells / cells.sum()).tolist(), strict=True)),
        stages=stages,
        better=better,
        measured=measured,
        per_image=tuple(photographs),
        deepest=expert_row(engine.manifest.deepest.name),
    )


def read_pair(path: Path, scale: int) -> tuple[Floats, Floats]:
    """An HR image, cut to a multiple of the scale, and its LR; ImageError when too small."""
    hr = image.read(path).rgb
    if min(hr.shape[:2]) < 4 * scale + 11:
        raise ImageError(f"{path}: {hr.shape[1]}x{hr.shape[0]} is too small to be measured")
    return image.degrade(hr, scale)


def file_name(path: Path, folder: Path) -> str:
    """What an image is called: its place in the folder."""
    return path.relative_to(folder).as_posix() if folder.is_dir() else path.name


def expert_row(name: str) -> str:
    """The row of an expert: its name, unless that is the name of another row."""
    return f"expert:{name}" if name in _RESERVED else name


def _run(
    methods: Mapping[str, Method], lr: Floats, repeats: int
) -> tuple[dict[str, Answer], dict[str, float]]:
    """Every method's answer and its median seconds, the methods taking turns."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    answers = {}
    for _ in range(repeats):
        for name, method in methods.items():
            started = time.perf_counter()
            answers[name] = method.upscale(lr)
            times[name].append(time.perf_counter() - started)
    return answers, {name: float(np.median(spent)) for name, spent in times.items()}


def _methods(engine: Engine, efforts: Sequence[float]) -> dict[str, Method]:
    """The bundle's own rows, cheapest expert first."""
    scale = engine.manifest.scale

    def bicubic(lr: Floats) -> Answer:
        height, width = lr.shape[0] * scale, lr.shape[1] * scale
        return Answer(image.resize(lr, height, width), 0.0)

    methods = {BICUBIC: Method(BICUBIC, bicubic)}
    for expert in sorted(engine.manifest.experts, key=lambda expert: expert.cost):
        # A bicubic expert is its own row.
        methods[expert_row(expert.name)] = Method("expert", whole(engine, expert.name))
    for effort in (None, *efforts):
        methods[routed_row(effort)] = Method(ROUTED, routed(engine, effort))
    return methods


def _plain(engines: Sequence[Engine], scale: int) -> dict[str, Method]:
    """Other bundles, each its deepest expert everywhere; no expert's name has an @."""
    methods: dict[str, Method] = {}
    for engine in engines:
        title = model_title(engine.manifest)
        if engine.manifest.scale != scale:
            raise BundleError(f"{title} upscales by {engine.manifest.scale}, not by {scale}")
        if title in methods:
            raise BundleError(f"{title} is there twice; give one of them another name or version")
        methods[title] = Method("against", whole(engine, engine.manifest.deepest.name))
    return methods


def whole(engine: Engine, name: str) -> Upscale:
    """One expert on the whole image."""
    macs = engine.manifest.expert(name).macs

    def upscale(lr: Floats) -> Answer:
        return Answer(engine.run_expert(name, lr), macs * lr.shape[0] * lr.shape[1])

    return upscale


def routed(engine: Engine, effort: float | None) -> Upscale:
    """The engine at an effort, its own by default."""

    def upscale(lr: Floats) -> Answer:
        result = engine.upscale(lr, effort)
        return Answer(result.pixels, result.macs, result)

    return upscale


def routed_row(effort: float | None) -> str:
    """The row of the engine at an effort."""
    return ROUTED if effort is None else f"{ROUTED}@{effort:g}"


def model_title(manifest: Manifest) -> str:
    """A model's name and version."""
    return f"{manifest.name}@{manifest.version}"
