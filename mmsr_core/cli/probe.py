"""mmsr probe: how good an encoder's representation is, by the usual protocols."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


class Percent(click.ParamType[float]):
    """A share, written as a percentage."""

    name = "N%"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """A share above 0 and at most 1; a usage error for anything else."""
        if isinstance(value, float):
            return value
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = 0.0
        if not (str(value).endswith("%") and 0 < share <= 1):
            self.fail(f"{value} is no percentage, such as 1% or 100%", param, ctx)
        return share


@click.command(
    epilog="""\b
Examples:
  mmsr probe encoder.safetensors --data cifar10.zip
  mmsr probe encoder.safetensors --data cifar10.zip --protocol finetune --labels 1% --labels 10%
  mmsr probe encoder.safetensors --data flowers/ --protocol transfer --seeds 3 --out flowers.json
"""
)
@click.argument("encoder", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder of class folders, a .zip of them, or a .csv with path,label[,split].",
)
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(["linear", "knn", "finetune", "transfer"]),
    multiple=True,
    default=("linear",),
    show_default=True,
    help="What is trained on the representation; may be repeated.  transfer: linear and finetune.",
)
@click.option(
    "--labels",
    type=Percent(),
    multiple=True,
    default=("100%",),
    show_default=True,
    help="The share of every class whose labels are used; may be repeated.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Do it N times, with other labels, orders and initial weights.",
)
@click.option(
    "--side",
    type=click.IntRange(8, 1024),
    metavar="N",
    help="Scale and crop images to N×N.  [default: the first image's short side, up to 224]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    metavar="N",
    help="Of fine-tuning.",
)
@click.option(
    "--batch",
    type=click.IntRange(4),
    default=256,
    show_default=True,
    metavar="N",
    help="Of fine-tuning.",
)
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(0.02, 0.05, 0.1),
    show_default=True,
    help="Of fine-tuning, for a batch of 256; of several the best on a held-out fifth is taken.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Keep the figures in this JSON file, after every one of them.",
)
@click.option("--resume", is_flag=True, help="Skip what --out has already.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures for machines.")
def command(
    encoder: Path,
    data: Path,
    protocols: tuple[str, ...],
    labels: tuple[float, ...],
    seeds: int,
    side: int | None,
    epochs: int,
    batch: int,
    rates: tuple[float, ...],
    device: str,
    out: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Measure what the representation of ENCODER is worth on labelled images.

    linear: a linear classifier on frozen features. knn: the nearest neighbours' vote, nothing is
    trained. finetune: encoder and classifier are trained together, on all labels or a few. ENCODER
    is a file that `mmsr pretrain` made; it stays as it is.
    """
    import json

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.plugin.catalog import Catalog

    if resume and out is None:
        raise click.UsageError("--resume needs --out")
    with needs("train", "mmsr probe"):
        from mmsr_core.train.gan.encoder import load_encoder
        from mmsr_massrl.datasets import open_dataset
        from mmsr_massrl.finetune import Schedule
        from mmsr_massrl.probing import pick_device
        from mmsr_massrl.protocols import PROTOCOLS, Ask, probe
        from mmsr_massrl.results import Results
    chosen = tuple(dict.fromkeys(one for name in protocols for one in PROTOCOLS[name]))
    network = load_encoder(encoder, Catalog.load())
    schedule = Schedule(epochs, batch, tuple(dict.fromkeys(rates)))
    with open_dataset(data) as dataset, Stages() as stages:
        ask = Ask(
            chosen, tuple(dict.fromkeys(labels)), seeds, side or dataset.train.side(), schedule
        )
        results = Results.open(out, encoder, dataset, ask, resume)
        for score in probe(network, dataset, ask, pick_device(device), stages.report, results.done):
            results = results.having(score)
            results.save(out)
    found = results.as_json()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(_table(results.summary()))
    held = "; tested on a fifth that was held out" if dataset.held_out else ""
    click.echo(f"{data}: {len(dataset.classes)} classes, side {ask.side}{held}")
    if out is not None:
        click.echo(f"{out}: written")


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from mmsr_core.cli.table import table

    heads = ["protocol", "labels", "seeds", "top-1", "±", "top-5", "train", "test"]
    lines = []
    for row in rows:
        top5 = "–" if row["top5"] is None else f"{row['top5']:.2%}"
        spread = "–" if row["spread"] is None else f"{row['spread']:.2%}"
        share = f"{100 * row['labels']:g}%"
        figures = [f"{row['top1']:.2%}", spread, top5, row["train"], row["test"]]
        lines.append([row["protocol"], share, row["seeds"], *figures])
    return table(heads, lines)
