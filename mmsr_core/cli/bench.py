"""mmsr bench: time, memory and quality from file to file, beside what one would run otherwise."""

from pathlib import Path

import click

from mmsr_core.cli import options


@click.command(
    epilog="""\b
Examples:
  mmsr bench --images photos
  mmsr bench --images photos --limit 4 --effort 0.3 --json bench.json --plot bench.png
  mmsr bench --images photos --peers --peer-checkpoint RealESRGAN_x4.pth --against other-x4
"""
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of HR images; their LR files are made by antialiased bicubic.",
)
@options.model
@options.device
@click.option(
    "--effort",
    "efforts",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.0, 0.25, 0.5, 1.0),
    show_default=True,
    help="Effort of the routed engine, besides the model's own; may be repeated.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="MODEL",
    help="Also run the deepest expert of this model on the whole image; may be repeated.",
)
@click.option(
    "--peers",
    is_flag=True,
    help="Also run plain ONNX Runtime, OpenCV, and Pillow and spandrel where they are installed.",
)
@click.option(
    "--peer-checkpoint",
    "checkpoint",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Network that spandrel opens, for --peers.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Rounds.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take the first N images.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path),
    help="Draw the quality lost over time, as PNG, SVG or PDF.",
)
def command(
    images: Path,
    model: str,
    device: str,
    efforts: tuple[float, ...],
    against: tuple[str, ...],
    peers: bool,
    checkpoint: Path | None,
    repeats: int,
    limit: int | None,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measure the whole way of an image: decode, route, upscale, stitch, encode.

    The routed engine at several efforts, every expert on the whole image, and what one would run
    without mmsr take turns on this machine, from PNG to PNG; seconds are medians of the rounds.
    Quality is PSNR of BT.601 luma, 8 bits, of the written file.
    """
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.files import check_place, write_json
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.bench.bench import Ask, bench
    from mmsr_core.measure.bench.tables import lines
    from mmsr_registry import Registry

    for path in (json_file, plot_file):
        check_place(path)
    if checkpoint is not None and not peers:
        raise MmsrError("--peer-checkpoint is a peer's; give --peers as well")
    if plot_file is not None:
        with needs("plot", "--plot"):
            import matplotlib  # noqa: F401
    registry = Registry()
    ask = Ask(
        model=registry.find(model),
        images=images,
        device=device,
        efforts=efforts,
        against=tuple(registry.find(other) for other in against),
        peers=peers,
        checkpoint=checkpoint,
        repeats=repeats,
        limit=limit,
    )
    with Stages() as stages:
        found = bench(ask, stages.report)
    for line in lines(found):
        click.echo(line)
    if json_file is not None:
        write_json(json_file, found.as_json())
    if plot_file is not None:
        from mmsr_core.measure.bench.plot import plot

        plot(found, plot_file)
