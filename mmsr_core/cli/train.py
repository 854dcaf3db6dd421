"""mmsr train: a recipe and photographs in, a run out."""

from contextlib import ExitStack
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  mmsr train recipes/compact-x4.toml --images photos --out runs/x4
  mmsr train recipes/compact-x4.toml --images photos --out runs/x4 --resume
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
    """Train the experts and the router that RECIPE asks for.

    The experts learn on one part of the photographs, the router on errors measured on a second,
    and scores.json is measured on a third. Checkpoints make every run resumable.
    """
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.train.recipe import read_recipe

    asked = read_recipe(recipe)
    catalog = Catalog.load()
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
                from mmsr_core.train.nodes.cluster import connected, train_on_nodes
            stack.enter_context(connected(address))
            elsewhere = train_on_nodes
        stages = stack.enter_context(Stages())
        images = images or recipe.parent
        run = train(asked, images, out, catalog, stages.report, resume, elsewhere, quantize)
    for label, psnr in run.scores()["psnr_y"].items():
        click.echo(f"{label:12} {psnr:6.2f} dB on the test split")
    click.echo(f"next: mmsr export {out} --onnx --out BUNDLE")
