"""mmsr upscale: photographs in, larger photographs out."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.errors import ImageError, MmsrError

if TYPE_CHECKING:
    from mmsr_core.runtime.engine import Engine, Result
    from mmsr_core.runtime.image import Image


@click.command(
    epilog="""\b
Examples:
  mmsr upscale photo.jpg -o large.png
  mmsr upscale photos/ -o large/ --model compact-x2
  mmsr upscale photo.jpg -o large.png --effort 1 --map routes.png
"""
)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="An image file for one image; otherwise a folder, made if missing.",
)
@click.option("--model", default="compact-x4", show_default=True, help="NAME[@VERSION] or a path.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--effort",
    type=click.FloatRange(0, 1),
    help="Trade time for quality: 0 is fast, 1 runs the deepest expert everywhere.  "
    "[default: the model's own balance]",
)
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    metavar="N",
    help="Average N source pixels between regions instead of the model's narrow cross-fade.",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Paint the route of each tile over the picture (a folder for several images).",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write statistics.")
def command(
    inputs: tuple[Path, ...],
    output: Path,
    model: str,
    device: str,
    effort: float | None,
    overlap: int | None,
    map_path: Path | None,
    json_path: Path | None,
) -> None:
    """Upscale image files, or every image in a folder.

    Each picture is cut into tiles, every tile goes to the cheapest network that does it justice,
    and the answers are stitched without a seam. A file that can't be read does not stop the
    others: it is named at the end, and the exit code is 1.
    """
    from mmsr_core import load
    from mmsr_core.cli.files import check_place, write_json

    check_place(json_path)
    tasks = plan_outputs(inputs, output, map_path)
    engine = load(model, device)
    if overlap is not None and overlap > engine.manifest.tiles.cell:
        raise MmsrError(
            f"--overlap {overlap} is wider than a tile of {model}, {engine.manifest.tiles.cell}"
        )
    if device == "auto":
        click.echo(f"on {engine.device.name} ({engine.device.reason})", err=True)
    rows, failures = [], []
    with click.progressbar(length=len(tasks) * 100, label="upscaling", file=sys.stderr) as bar:
        for number, (task, outcome) in enumerate(_run(engine, tasks, effort, overlap, bar)):
            bar.update(100 * (number + 1) - bar.pos)
            if isinstance(outcome, MmsrError):
                failures.append(f"{task.source}: {_reason(outcome, task.source)}")
                rows.append({"input": str(task.source), "error": failures[-1]})
            else:
                rows.append({"input": str(task.source), "output": str(task.target)} | outcome)
    if json_path is not None:
        statistics = {"model": model, "device": engine.device.name, "images": rows}
        write_json(json_path, statistics)
    if failures:
        done = len(tasks) - len(failures)
        head = f"{len(failures)} of {len(tasks)} images failed ({done} done): " if done else ""
        raise MmsrError(head + "; ".join(failures))


@dataclass(frozen=True)
class Task:
    """One image to upscale: where it is, where it goes, and where its route map goes."""

    source: Path
    target: Path
    map: Path | None


def plan_outputs(inputs: Sequence[Path], output: Path, map_path: Path | None) -> list[Task]:
    """Pair every input image with its output; MmsrError before any work when that can't be.

    A folder's images keep their places below it. Formats that can't be written become PNG.
    """
    from mmsr_core.runtime.image import IMAGE_SUFFIXES, check_writable, find_images

    pairs: list[tuple[Path, Path]] = []
    single = len(inputs) == 1 and not inputs[0].is_dir()
    as_file = single and not output.is_dir() and output.suffix != ""
    for given in inputs:
        for source in find_images(given):
            place = source.relative_to(given) if given.is_dir() else Path(source.name)
            if place.suffix.lower() not in IMAGE_SUFFIXES:
                place = place.with_suffix(".png")
            pairs.append((source, output if as_file else output / place))
    seen: dict[Path, Path] = {}
    tasks = []
    for source, target in pairs:
        painted = map_path
        if map_path is not None and not single:
            painted = (map_path / target.relative_to(output)).with_suffix(".png")
        if painted == target:
            raise ImageError(f"{target}: is the picture's place; choose another for --map")
        for written in (target, painted):
            if written is None:
                continue
            if written in seen:
                raise ImageError(f"{seen[written]} and {source} would both be written to {written}")
            if written.exists() and written.samefile(source):
                raise ImageError(f"{written}: is the input itself; choose another output")
            seen[written] = source
            check_writable(written)
        tasks.append(Task(source, target, painted))
    return tasks


Outcome = dict[str, Any] | MmsrError


def _run(
    engine: "Engine", tasks: Sequence[Task], effort: float | None, overlap: int | None, bar: Any
) -> Iterator[tuple[Task, Outcome]]:
    """Upscale task by task; the next image is decoded and the last encoded meanwhile."""
    from mmsr_core.runtime.image import read

    def tell(share: float) -> None:
        bar.update(max(0, bar.pos - bar.pos % 100 + int(share * 99) - bar.pos))

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read, task.source) for task in tasks[:1]]
        writing: tuple[Task, Future[None], dict[str, Any]] | None = None
        for number, task in enumerate(tasks):
            loaded = reading.pop()
            reading += [pool.submit(read, later.source) for later in tasks[number + 1 : number + 2]]
            started = time.perf_counter()
            problem: MmsrError | None = None
            try:
                image = loaded.result()
                result = engine.upscale(image.rgb, effort, overlap, tell)
            except MmsrError as error:
                problem = error
            if writing is not None:
                yield _written(*writing)
                writing = None
            if problem is not None:
                yield task, problem
                continue
            facts = _facts(engine, image, result, time.perf_counter() - started)
            writing = task, pool.submit(_write, engine, task, image, result), facts
        if writing is not None:
            yield _written(*writing)


def _written(task: Task, future: "Future[None]", facts: dict[str, Any]) -> tuple[Task, Outcome]:
    try:
        future.result()
    except MmsrError as error:
        return task, error
    return task, facts


def _write(engine: "Engine", task: Task, image: "Image", result: "Result") -> None:
    from mmsr_core.runtime.image import Image, resize, write
    from mmsr_core.runtime.routemap import paint

    height, width = result.pixels.shape[:2]
    alpha = None if image.alpha is None else resize(image.alpha, height, width).clip(0, 1)
    write(task.target, replace(image, rgb=result.pixels, alpha=alpha))
    if task.map is not None:
        picture = paint(result.plan, engine.manifest.classes, result.pixels)
        write(task.map, Image(rgb=picture))


def _facts(engine: "Engine", image: "Image", result: "Result", seconds: float) -> dict[str, Any]:
    plan = result.plan
    classes = engine.manifest.classes
    shares = {label: float((plan.routes == r).mean()) for r, label in enumerate(classes)}
    return {
        "size": [image.rgb.shape[1], image.rgb.shape[0]],
        "upscaled": [result.pixels.shape[1], result.pixels.shape[0]],
        "seconds": round(seconds, 4),
        "stages": {stage: round(spent, 4) for stage, spent in result.seconds.items()},
        "classes": shares,
        "regions": len(plan.regions),
        "cost": round(plan.cost, 4),
        "macs": result.macs,
    }


def _reason(error: MmsrError, source: Path) -> str:
    return str(error).removeprefix(f"{source}: ")
