"""The benchmark itself: every contender on every photograph, in turns."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mmsr_core.measure.bench import footprint
from mmsr_core.measure.bench.contenders import EFFORTS, Contender, others, own
from mmsr_core.measure.bench.machine import load, machine
from mmsr_core.measure.bench.outcome import Outcome
from mmsr_core.measure.bench.peers import ONNXRUNTIME, SPANDREL, find_peers
from mmsr_core.measure.bench.race import Progress, Race, Shot
from mmsr_core.measure.evaluate import expert_row, file_name, model_title, read_pair
from mmsr_core.runtime import image
from mmsr_core.runtime.engine import Engine


@dataclass(frozen=True)
class Ask:
    """What to measure: bundles are directories; `limit` takes the first images of the folder."""

    model: Path
    images: Path
    device: str = "auto"
    efforts: tuple[float, ...] = EFFORTS
    against: tuple[Path, ...] = ()
    peers: bool = False
    checkpoint: Path | None = None
    repeats: int = 3
    limit: int | None = None


def bench(ask: Ask, progress: Progress = lambda what, done, total: None) -> Outcome:
    """Measure everything that `ask` names; MmsrError where a model or an image is not usable.

    LR files are made from the HR photographs first. Then each contender upscales the largest in
    a fresh process, for its memory, and all of them take turns in this one: for every photograph
    in each of `repeats` rounds each runs from file to file, after one run of each for nothing.
    The first of a round moves on by one, so that no contender always follows the same pause.
    """
    before = load()
    engines = cache(partial(Engine.open, device=ask.device))
    engine = engines(ask.model)
    entrants, absent = _entrants(ask, engine)
    opened = {entrant.name: entrant.open(engines) for entrant in entrants}
    with TemporaryDirectory(prefix="mmsr-bench-") as name:
        folder = Path(name)
        shots = _prepare(ask, engine.manifest.scale, folder, progress)
        largest = max(shots, key=lambda shot: shot.height * shot.width).lr
        prints = {}
        for number, entrant in enumerate(entrants, 1):
            prints[entrant.name] = footprint.measure(entrant, largest, folder / "out.png")
            progress("memory", number, len(entrants))
        race = Race(engine, entrants, opened)
        race.run(shots, folder / "out.png", ask.repeats, progress)
    manifest = engine.manifest
    deepest = expert_row(manifest.deepest.name)
    out = sum(shot.height * shot.width for shot in shots) / 1e6
    standings = tuple(race.standing(entrant, deepest, prints[entrant.name]) for entrant in entrants)
    return Outcome(
        model=model_title(manifest),
        device=engine.device.name,
        machine=machine(),
        load=(before, load()),
        repeats=ask.repeats,
        spread=race.spread(),
        deepest=deepest,
        megapixels=(out / manifest.scale**2, out),
        standings=standings,
        routings=race.routings(progress),
        frontier=race.frontier(deepest),
        absent=tuple(absent),
        per_image=tuple(race.photographs),
    )


def _entrants(ask: Ask, engine: Engine) -> tuple[list[Contender], list[str]]:
    """The contenders in the order of the table, and the peers that are not there."""
    manifest, device = engine.manifest, engine.device.name
    found = own(manifest, ask.model, device, ask.efforts)
    found += others(ask.against, manifest.scale, device)
    if not ask.peers:
        return found, []
    present, absent = find_peers(ask.checkpoint)
    sources = {ONNXRUNTIME: ask.model, SPANDREL: ask.checkpoint}
    found += [
        Contender(name, "peer", manifest.scale, device, sources.get(name)) for name in present
    ]
    return found, absent


def _prepare(ask: Ask, scale: int, folder: Path, progress: Progress) -> list[Shot]:
    """The photographs, their LR written as PNG into `folder`."""
    files = image.find_images(ask.images)[: ask.limit]
    shots = []
    for number, path in enumerate(files):
        hr, lr = read_pair(path, scale)
        source = folder / f"{number}.png"
        image.write(source, image.Image(rgb=lr))
        shots.append(Shot(path, file_name(path, ask.images), source, hr.shape[0], hr.shape[1]))
        progress("LR files", number + 1, len(files))
    return shots
