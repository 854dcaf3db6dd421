"""mmsr evaluate: what a bundle gains, measured."""

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  mmsr evaluate --model compact-x4 --images photos
  mmsr evaluate --model ./my-bundle --images photos --json scores.json --plot scores.png
"""
)
@click.option("--model", default="compact-x4", show_default=True, help="NAME[@VERSION] or a path.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of HR images; their LR versions are made by antialiased bicubic.",
)
@click.option("--scale", type=int, help="Fail unless the model has this scale.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--effort",
    "efforts",
    type=click.FloatRange(0, 1),
    multiple=True,
    help="Also measure the routed engine at this effort; may be repeated.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw PSNR over time.")
def command(
    model: str,
    images: Path,
    scale: int | None,
    device: str,
    efforts: tuple[float, ...],
    repeats: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measure a model: quality and time of every expert alone and of the routed engine.

    PSNR and SSIM are of BT.601 luma, 8 bits, borders of SCALE pixels shaved. Times are medians
    of interleaved runs, from an array in memory to an array in memory.
    """
    from mmsr_core import load
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.files import check_place, write_json
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.evaluate import evaluate

    check_place(json_file)
    check_place(plot_file)
    if plot_file is not None:
        with needs("plot", "--plot"):
            import matplotlib  # noqa: F401
    engine = load(model, device)
    if scale is not None and scale != engine.manifest.scale:
        raise MmsrError(f"{model} upscales by {engine.manifest.scale}, not by {scale}")
    with Stages() as stages:
        found = evaluate(engine, images, efforts, repeats, stages.report)
    reference = next(row for row in found.rows if row.name == engine.manifest.deepest.name)
    click.echo(f"{found.model} on {found.device}, {found.images} images")
    click.echo(f"{'':14}{'PSNR-Y':>8}{'SSIM-Y':>8}{'seconds':>9}{'time':>7}{'GMACs':>10}")
    for row in found.rows:
        share = row.seconds / reference.seconds
        click.echo(
            f"{row.name:14}{row.psnr_y:8.3f}{row.ssim_y:8.4f}{row.seconds:9.2f}{share:7.0%}"
            f"{row.macs / 1e9:10.1f}"
        )
    shares = "  ".join(f"{label} {share:.0%}" for label, share in found.classes.items())
    click.echo(f"tiles: {shares}")
    if json_file is not None:
        write_json(json_file, found.as_json())
    if plot_file is not None:
        from mmsr_core.measure.plot import plot

        plot(found, plot_file)
