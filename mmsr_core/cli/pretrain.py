"""mmsr pretrain: images without labels in, an encoder out."""

from pathlib import Path
from typing import Any

import click


@click.command(
    epilog="""\b
Examples:
  mmsr pretrain massrl --images photos.tiles --out tile.safetensors
  mmsr pretrain massrl --images photos --out tile.safetensors --epochs 100 --resume
  mmsr pretrain massrl --images cifar10.zip --out r18.safetensors --encoder resnet18
  mmsr pretrain massrl --images photos --out found.json --search
"""
)
@click.argument("extractor")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder of images, a .zip of them, or a store of tiles (mmsr prepare).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The encoder file; the run lies beside it, in OUT.run.",
)
@click.option("--resume", is_flag=True, help="Continue a run that was interrupted.")
@click.option("--search", is_flag=True, help="Search a policy for these images; OUT is its file.")
@click.option("--encoder", help="tile, resnet18, resnet50 or resnet101.  [default: tile]")
@click.option("--width", type=float, help="Channels: 1, 1.5 or 2 times.  [default: 1]")
@click.option("--stem", help="Of a ResNet: small (32 to 64 pixels) or large.  [default: small]")
@click.option(
    "--policy",
    multiple=True,
    help="massrl, massrl-small, byol, simclr-small, autoaugment, autoaugment-small, "
    "randaugment[:N,M], tile, crop, or a file NAME.json; repeat it to draw from several.  "
    "[default: the encoder's]",
)
@click.option("--crop", help="uniform, inception or window.  [default: the policy's]")
@click.option("--views", type=int, help="Views of every image.  [default: 2]")
@click.option("--side", type=int, help="Side of a view, in pixels.  [default: the encoder's]")
@click.option(
    "--cut",
    type=int,
    help="Side of the tiles that images are cut into; 0 takes them whole.  "
    "[default: 48 for the encoder tile, otherwise 0]",
)
@click.option("--batch", type=int, help="Images in a batch.  [default: 256]")
@click.option("--epochs", type=float, help="Passes over the images.  [default: 300]")
@click.option("--steps", type=int, help="Batches, in place of --epochs.")
@click.option("--rate", type=float, help="Learning rate for a batch of 256.  [default: 0.3]")
@click.option("--warmup", type=float, help="Epochs of the warm-up.  [default: 10]")
@click.option("--trust", type=float, help="LARS's trust coefficient.  [default: 0.001]")
@click.option("--tau", type=float, help="What the target keeps at first.  [default: 0.99]")
@click.option("--hidden", type=int, help="Channels inside projector and predictor.")
@click.option("--precision", help="32-true, bf16-mixed or 16-mixed.  [default: 32-true]")
@click.option("--save-every", type=int, help="Steps between checkpoints.  [default: 500]")
@click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train.",
)
def command(
    extractor: str,
    images: Path,
    out: Path,
    resume: bool,
    search: bool,
    seed: int,
    device: str,
    policy: tuple[str, ...],
    encoder: str | None,
    width: float | None,
    stem: str | None,
    crop: str | None,
    views: int | None,
    side: int | None,
    cut: int | None,
    batch: int | None,
    epochs: float | None,
    steps: int | None,
    rate: float | None,
    warmup: float | None,
    trust: float | None,
    tau: float | None,
    hidden: int | None,
    precision: str | None,
    save_every: int | None,
) -> None:
    """Train an EXTRACTOR's encoder on images without labels.

    Each extractor takes those of the options that it knows. A split into train and test is
    respected: the images to test on are left out.
    """
    from functools import partial

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import PluginError
    from mmsr_core.plugin.catalog import Catalog, check_options
    from mmsr_core.plugin.components import Choice

    pretrain = Catalog.load().extractor(extractor).pretrain
    if pretrain is None:
        raise PluginError(f"extractor {extractor} has no weights to train; it takes none")
    options: dict[str, Any] = {
        "search": search or None,
        "policy": policy or None,
        "encoder": encoder,
        "width": width,
        "stem": stem,
        "crop": crop,
        "views": views,
        "side": side,
        "cut": cut,
        "batch": batch,
        "epochs": epochs,
        "steps": steps,
        "rate": rate,
        "warmup": warmup,
        "trust": trust,
        "tau": tau,
        "hidden": hidden,
        "precision": precision,
        "save_every": save_every,
    }
    options = {name: value for name, value in options.items() if value is not None}
    given = ("open_pictures", "out", "report", "seed", "resume", "device")
    check_options(Choice(name=extractor, options=options), pretrain, dict.fromkeys(given))
    with needs("train", "mmsr pretrain"):
        from mmsr_core.train.pictures import open_pictures

        with Stages() as stages:
            source = partial(open_pictures, images, stages.report)
            pretrain(source, out, stages.report, seed=seed, resume=resume, device=device, **options)
    click.echo(f"{out}: written")
