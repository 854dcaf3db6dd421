"""mmsr upscale: photographs in, larger photographs out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.cli import options
from mmsr_core.cli.size import size
from mmsr_core.errors import ImageError, MmsrError

if TYPE_CHECKING:
    from mmsr_core.runtime.files import Task


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
@options.model
@options.device
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
@click.option(
    "--memory",
    type=size,
    metavar="SIZE",
    help="Memory to use at most, say 800M or 2G.  [default: half of what is free]",
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
    memory: int | None,
    json_path: Path | None,
) -> None:
    """Upscale image files, or every image in a folder.

    Each picture is cut into tiles, every tile goes to the cheapest network that does it justice,
    and the answers are stitched without a seam. A file that can't be read does not stop the
    others: it is named at the end, and the exit code is 1.
    """
    from mmsr_core import load
    from mmsr_core.cli.files import check_place, write_json
    from mmsr_core.runtime.files import GPU_WORKERS, Settings, upscale_files, workers_for
    from mmsr_core.runtime.memory import PROCESS, SHARE, free_memory

    check_place(json_path)
    tasks = plan_outputs(inputs, output, map_path)
    if memory is not None and memory <= PROCESS:
        raise MmsrError(
            f"--memory {memory / 2**20:.0f}M: mmsr itself takes {PROCESS >> 20} MiB; "
            "raise --memory above that"
        )
    workers, threads = workers_for(len(tasks))
    engine = load(model, device, threads, lambda line: click.echo(line, err=True))
    if overlap is not None and overlap > engine.manifest.tiles.cell:
        raise MmsrError(
            f"--overlap {overlap} is wider than a tile of {model}, {engine.manifest.tiles.cell}"
        )
    if device == "auto":
        click.echo(f"on {engine.device.name} ({engine.device.reason})", err=True)
    room = int(free_memory() * SHARE) if memory is None else memory - PROCESS
    if engine.device.is_gpu:
        workers = min(workers, GPU_WORKERS)
    settings = Settings(effort, overlap, room, workers)
    rows, failures = [], []
    with click.progressbar(length=1000, label="upscaling", file=sys.stderr) as bar:

        def watch(share: float) -> None:
            bar.update(int(1000 * share) - bar.pos)

        for task, outcome in upscale_files(engine, tasks, settings, watch):
            if isinstance(outcome, MmsrError):
                failures.append(f"{task.source}: {_reason(outcome, task.source)}")
                rows.append({"input": str(task.source), "error": failures[-1]})
            else:
                rows.append({"input": str(task.source), "output": str(task.target)} | outcome)
        watch(1.0)
    if json_path is not None:
        statistics = {"model": model, "device": engine.device.name, "images": rows}
        write_json(json_path, statistics)
    if failures:
        done = len(tasks) - len(failures)
        head = f"{len(failures)} of {len(tasks)} images failed ({done} done): " if done else ""
        raise MmsrError(head + "; ".join(failures))


def plan_outputs(inputs: Sequence[Path], output: Path, map_path: Path | None) -> "list[Task]":
    """Pair every input image with its output; MmsrError before any work when that can't be.

    A folder's images keep their places below it. Formats that can't be written become PNG.
    """
    from mmsr_core.runtime.files import Task
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


def _reason(error: MmsrError, source: Path) -> str:
    return str(error).removeprefix(f"{source}: ")
