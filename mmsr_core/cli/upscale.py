"""mmsr upscale: photographs in, larger photographs out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.cli import Failure, options, sizes
from mmsr_core.cli.size import size as memory_size

if TYPE_CHECKING:
    from mmsr_core.runtime.sizes import Size


@click.command(
    epilog="""\b
Examples:
  mmsr upscale photo.jpg -o large.png
  mmsr upscale photos/ -o large/ --model compact-x2
  mmsr upscale 'photos/**/*.jpg' -o large/ --format webp --resume
  find photos -newer last -print0 | mmsr upscale -0 - -o large/
  mmsr upscale photo.jpg -o large.png --effort 1 --map routes.png
  mmsr upscale s3://bucket/photos -o s3://bucket/large --resume --ray 10.0.0.1:6379
"""
)
@click.argument("inputs", nargs=-1, required=True, type=options.PLACE)
@options.answers
@click.option(
    "--model",
    help="NAME[@VERSION] or a path.  [default: compact-x4, and its family for other sizes]",
)
@options.device
@sizes.options
@options.running
@click.option(
    "--map",
    "map_path",
    type=options.PLACE,
    help="Paint the route of each tile over the picture (a folder for several images).",
)
@click.option(
    "--memory",
    type=memory_size,
    metavar="SIZE",
    help="Memory to use at most, say 800M or 2G.  [default: half of what is free]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images in flight at once.  [default: one a core]",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Refuse images that are larger.  [default: 1074]",
)
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Upscale on the nodes of the Ray cluster at ADDRESS, of $RAY_ADDRESS, or of this machine; "
    "inputs and output may be URLs, s3:// or gs:// say, or the nodes share them.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --ray: CPU cores for each actor, which opens the model once.  [default: up to 4]",
)
@click.option("-0", "--null", is_flag=True, help="The list on standard input ends paths with NUL.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    help="Write how each image went, to a file or - for standard output.",
)
def command(
    inputs: "tuple[Path | str, ...]",
    output: "Path | str",
    form: str | None,
    quality: int | None,
    pattern: str,
    overwrite: bool,
    resume: bool,
    model: str | None,
    device: str,
    size: "Size",
    effort: float | None,
    overlap: int | None,
    map_path: "Path | str | None",
    memory: int | None,
    jobs: int | None,
    max_megapixels: float | None,
    address: str | None,
    cores: int | None,
    null: bool,
    json_path: Path | None,
) -> None:
    """Upscale image files, every image in a folder, or a list of paths on standard input (-).

    Each picture is cut into tiles, every tile goes to the cheapest network that does it justice,
    and the answers are stitched without a seam. A file that can't be upscaled does not stop the
    others: it is named at the end, and the exit code is 3.
    """
    from mmsr_core.cli.files import check_place
    from mmsr_core.cli.inputs import plan_batch
    from mmsr_core.cli.meter import Meter
    from mmsr_core.cli.opening import Asked
    from mmsr_core.cli.spread import on_nodes, on_this_machine
    from mmsr_core.cli.stopping import stopping
    from mmsr_core.runtime.image import MOST_PIXELS

    if overwrite and resume:
        raise click.UsageError("--overwrite and --resume can't hold together: choose one")
    if cores is not None and address is None:
        raise click.UsageError("--cores is for --ray")
    check_place(json_path)
    most = MOST_PIXELS if max_megapixels is None else int(max_megapixels * 1e6)
    asked = Asked(model, device, size, effort, overlap, quality, memory, jobs, most)
    with stopping() as stop:
        try:
            batch = plan_batch(
                inputs,
                null,
                output,
                form,
                pattern,
                map_path,
                overwrite,
                resume,
                address is not None,
            )
            meter = Meter(len(batch.tasks))
            if not batch.tasks:
                batch.report(json_path, {"model": model})
                return
            if address is None:
                spread = on_this_machine(asked, batch.tasks, resume, meter.say)
            else:
                spread = on_nodes(asked, batch.tasks, resume, address, cores)
            with spread as (work, facts):
                batch.run(work, stop, meter, json_path, facts)
        except KeyboardInterrupt:
            raise Failure("interrupted", stop.exit_code) from None
