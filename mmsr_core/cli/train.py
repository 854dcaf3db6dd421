"""mmsr train: a recipe and photographs in, a run out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mmsr_core.plugin.catalog import Catalog


@click.command(
    epilog="""\b
Examples:
  mmsr train recipes/compact-x4.toml --images photos --out runs/x4
  mmsr train recipes/compact-x4.toml --images photos --out runs/x4 --resume
  mmsr train recipes/resgdn.toml --images photos --out runs/resgdn
  mmsr train recipes/compact-x4.toml --images /shared/photos --out /shared/x4 --ray 10.0.0.1:6379
"""
)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder that the recipe's data folders lie in.  [default: the recipe's own folder]",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory of the run.")
@click.option("--resume", is_flag=True, help="Continue a run that was interrupted.")
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Train each expert on a node of the Ray cluster at ADDRESS, of $RAY_ADDRESS, or of this "
    "machine; the nodes share --images and --out.",
)
def command(
    recipe: Path, images: Path | None, out: Path, resume: bool, address: str | None
) -> None:
    """Train the experts and the router, or the codec, that RECIPE asks for.

    The experts learn on one part of the photographs, the router on errors measured on a second,
    and scores.json is measured on a third. A codec (kind = "codec") learns on all photographs but
    those held back. Checkpoints make every run resumable.
    """
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.train.recipe import parse, read_toml

    table, catalog = read_toml(recipe), Catalog.load()
    if table.get("kind") == "codec":
        if address is not None:
            raise click.UsageError("--ray is for an upscaler's experts; a codec is one network")
        _train_codec(table, recipe, images or recipe.parent, out, resume, catalog)
        return
    asked = parse(table, str(recipe))
    asked.check(catalog)
    with needs("train", "mmsr train"):
        from mmsr_core.train.eightbit import Quantize
        from mmsr_core.train.stages import Elsewhere, train
    elsewhere: Elsewhere | None = None
    quantize: Quantize | None = None
    if len(asked.exact) < len(asked.experts):
        with needs("train,cpu", "an 8-bit expert"):
            from mmsr_onnx.eightbit import quantize_module as quantize
    with ExitStack() as stack:
        if address is not None:
            with needs("ray", "mmsr train --ray"):
                from mmsr_core.cluster.connection import connected
                from mmsr_core.train.nodes.cluster import train_on_nodes
            stack.enter_context(connected(address))
            elsewhere = train_on_nodes
        stages = stack.enter_context(Stages())
        images = images or recipe.parent
        run = train(asked, images, out, catalog, stages.report, resume, elsewhere, quantize)
    for label, psnr in run.scores()["psnr_y"].items():
        click.echo(f"{label:12} {psnr:6.2f} dB on the test split")
    click.echo(f"next: mmsr export {out} --onnx --out BUNDLE")


def _train_codec(
    table: dict[str, Any], recipe: Path, images: Path, out: Path, resume: bool, catalog: Catalog
) -> None:
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.cli.table import table as shown
    from mmsr_core.train.codec.recipe import parse_codec

    asked = parse_codec(table, str(recipe))
    with needs("train", "mmsr train"):
        from mmsr_core.train.codec.stages import train_codec
    with Stages() as stages:
        run = train_codec(asked, images, out, catalog, stages.report, resume)
    rows = [
        (p["bits"], f"{p['bpp']:.3f}", f"{p['psnr']:.2f}", f"{p['ms_ssim']:.4f}")
        for p in run.scores()["qualities"]
    ]
    click.echo(shown(("bits", "bpp", "psnr", "ms-ssim"), rows))
    click.echo(f"next: mmsr export {out} --onnx --out BUNDLE")
