"""mmsr decompress: .mmc files in, images out."""

from pathlib import Path

import click

from mmsr_core.cli import Failure, options


@click.command(
    epilog="""\b
Examples:
  mmsr decompress photo.mmc -o photo.png
  mmsr decompress small/ -o photos/ --format jpg
"""
)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="An image file for one input; otherwise a folder, made if missing.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["png", "jpg", "webp", "tiff", "avif"]),
    default="png",
    show_default=True,
    help="The format of what goes into a folder.",
)
@click.option("--model", help="A codec, NAME[@VERSION] or a path.  [default: the one a file names]")
@options.device
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(
    inputs: tuple[Path, ...],
    output: Path,
    form: str,
    model: str | None,
    device: str,
    overwrite: bool,
) -> None:
    """Decompress .mmc files, and every one in a folder.

    A file that can't be decompressed does not stop the others: it is named, and the exit code
    is 3. A residual layer that was cut off is left out, with a line that says so.
    """
    from mmsr_core.cli.codecs import installed_codecs
    from mmsr_core.errors import ImageError
    from mmsr_core.runtime.codec.decompress import decompress_file
    from mmsr_core.runtime.codec.places import plan_places
    from mmsr_core.runtime.image import WRITABLE_SUFFIXES

    places = plan_places(inputs, output, f".{form}", WRITABLE_SUFFIXES, overwrite, (".mmc",))
    codecs = installed_codecs(
        device, None, lambda line: click.echo(f"mmsr: {line}", err=True), model
    )
    failed = 0
    for path, target in places:
        try:
            decompress_file(codecs, path, target)
        except ImageError as error:
            failed += 1
            click.echo(f"mmsr: error: {error}", err=True)
    if failed:
        raise Failure(f"{failed} of {len(places)} files failed", 1 if len(places) == 1 else 3)
