"""mmsr compress: images in, .mmc files out."""

from pathlib import Path

import click

from mmsr_core.cli import Failure, options


@click.command(
    epilog="""\b
Examples:
  mmsr compress photo.png -o photo.mmc
  mmsr compress photos/ -o small/ --bpp 0.25
  mmsr compress photo.png -o photo.mmc --quality 0.9
"""
)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="An .mmc file for one image; otherwise a folder, made if missing.",
)
@click.option(
    "--model", default="resgdn", show_default=True, help="The codec: NAME[@VERSION] or a path."
)
@options.device
@click.option(
    "--quality",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="0 is the smallest file, 1 the best picture.",
)
@click.option(
    "--bpp",
    type=click.FloatRange(0, min_open=True),
    metavar="TARGET",
    help="The best quality that takes at most so many bits a pixel.",
)
@click.option("--base-only", is_flag=True, help="No residual layer.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    help="Write how each image went, to a file or - for standard output.",
)
@click.pass_context
def command(
    context: click.Context,
    inputs: tuple[Path, ...],
    output: Path,
    model: str,
    device: str,
    quality: float,
    bpp: float | None,
    base_only: bool,
    overwrite: bool,
    json_path: Path | None,
) -> None:
    """Compress image files, and every image in a folder.

    One model serves every rate. A file that can't be compressed does not stop the others: it is
    named, and the exit code is 3.
    """
    from mmsr_core.cli.codecs import open_codec
    from mmsr_core.cli.files import check_place, json_rows
    from mmsr_core.errors import ImageError
    from mmsr_core.runtime.codec.compress import Wanted, compress_file
    from mmsr_core.runtime.codec.places import plan_places

    source = click.core.ParameterSource.DEFAULT
    if bpp is not None and context.get_parameter_source("quality") is not source:
        raise click.UsageError("--quality and --bpp can't hold together: choose one")
    check_place(json_path)
    places = plan_places(inputs, output, ".mmc", (".mmc",), overwrite)
    codec = open_codec(model, device)
    wanted = Wanted(quality, bpp, base_only)
    failed = 0
    with json_rows(json_path, {"model": model, "device": codec.device.name}) as add:
        for path, target in places:
            try:
                facts = compress_file(codec, path, target, wanted)
            except ImageError as error:
                failed += 1
                click.echo(f"mmsr: error: {error}", err=True)
                add({"source": str(path), "error": str(error)})
                continue
            add(facts)
            click.echo(
                f"{target}: {facts['bytes']} bytes, {facts['bpp']:.3f} bpp, "
                f"{facts['seconds']:.2f} s",
                err=True,
            )
    if failed:
        raise Failure(f"{failed} of {len(places)} images failed", 1 if len(places) == 1 else 3)
