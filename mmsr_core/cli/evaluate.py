"""mmsr evaluate: what a bundle gains, measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.cli import options

if TYPE_CHECKING:
    from mmsr_core.measure.evaluation import Evaluation
    from mmsr_core.measure.oracle import Oracle

ARROWS = {"higher": "↑", "lower": "↓"}


@click.command(
    epilog="""\b
Examples:
  mmsr evaluate --model compact-x4 --images photos
  mmsr evaluate --model ./my-bundle --images photos --json scores.json --plot scores.png
  mmsr evaluate --images photos --metrics psnr,niqe --against other-x4 --csv rows.csv
"""
)
@options.model
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of HR images; their LR versions are made by antialiased bicubic.",
)
@click.option("--scale", type=int, help="Fail unless the model has this scale.")
@options.device
@click.option(
    "--effort",
    "efforts",
    type=click.FloatRange(0, 1),
    multiple=True,
    help="Also measure the routed engine at this effort; may be repeated.",
)
@click.option(
    "--metrics",
    multiple=True,
    metavar="NAME,…",
    default=("psnr,ssim",),
    show_default=True,
    help="What to measure: names that `mmsr plugins` lists, or pi, which needs niqe and ma.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="MODEL",
    help="Also run the deepest expert of this model on the whole image; may be repeated.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path), help="Write a line per image and row."
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path),
    help="Draw the first metric over time.",
)
@click.option(
    "--allocate",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="For a codec: write it with the table of the best settings on these images.",
)
def command(
    model: str,
    images: Path,
    scale: int | None,
    device: str,
    efforts: tuple[float, ...],
    metrics: tuple[str, ...],
    against: tuple[str, ...],
    repeats: int,
    json_file: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
    allocate: Path | None,
) -> None:
    """Measure a model: quality and time of every expert alone and of the routed engine.

    PSNR, SSIM and MS-SSIM are of BT.601 luma, 8 bits; borders of SCALE pixels are shaved. Times
    are medians of interleaved runs, from an array in memory to an array in memory.

    A codec is measured beside JPEG, WebP, AVIF and, with the extra `codec`, JPEG 2000 and HEVC
    intra: bits a pixel, PSNR and MS-SSIM of RGB, seconds, BD-rates.
    """
    from mmsr_core import load
    from mmsr_core.cli import rates
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.files import check_place, write_csv, write_json
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.columns import open_columns
    from mmsr_core.measure.evaluate import evaluate
    from mmsr_core.measure.hindsight import Hindsight
    from mmsr_core.plugin.catalog import Catalog

    for path in (json_file, csv_file, plot_file):
        check_place(path)
    if plot_file is not None:
        with needs("plot", "--plot"):
            import matplotlib  # noqa: F401
    if rates.is_codec(model):
        files = {"json": json_file, "csv": csv_file, "plot": plot_file}
        refused = {"--effort": efforts, "--scale": scale, "--against": against}
        rates.evaluate_codec(model, images, device, files, refused, allocate)
        return
    if allocate is not None:
        raise click.UsageError(f"--allocate is for a codec; {model} upscales")
    names = [name.strip() for part in metrics for name in part.split(",") if name.strip()]
    if not names:
        raise MmsrError("--metrics names no metric; mmsr plugins lists them")
    columns = open_columns(names, Catalog.load())
    engine = load(model, device).engine
    if scale is not None and scale != engine.manifest.scale:
        raise MmsrError(f"{model} upscales by {engine.manifest.scale}, not by {scale}")
    others = [load(other, device).engine for other in against]
    with Stages() as stages:
        hindsight = Hindsight(engine)
        found = evaluate(
            engine, images, efforts, repeats, stages.report, columns, others, hindsight.watch
        )
    oracle = hindsight.oracle()
    found = replace(found, rows=(*found.rows, hindsight.row(found, oracle)))
    for line in _lines(found):
        click.echo(line)
    click.echo(_verdict(oracle))
    if json_file is not None:
        write_json(json_file, found.as_json() | {"oracle": oracle.as_json()})
    if csv_file is not None:
        write_csv(csv_file, found.as_table())
    if plot_file is not None:
        from mmsr_core.measure.plot import plot

        plot(found, plot_file)


def _lines(found: Evaluation) -> Iterator[str]:
    """The table, and what there is to say about it."""
    from mmsr_core.measure.evaluation import title

    yield f"{found.model} on {found.device}, {found.images} images"
    heads = [f"{title(key)} {ARROWS[better]}" for key, better in found.better.items()]
    widths = [max(8, len(head)) + 2 for head in heads]
    first = max(14, *(len(row.name) + 1 for row in found.rows))
    reference = found.row(found.deepest)
    measures = "".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))
    yield f"{'':{first}}{measures}{'seconds':>9}{'time':>7}{'GMACs':>10}"
    for row in found.rows:
        cells = [_number(row.values[key]) for key in found.better]
        measures = "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        share = row.seconds / reference.seconds
        yield (f"{row.name:{first}}{measures}{row.seconds:9.2f}{share:7.0%}{row.macs / 1e9:10.1f}")
    for key, count in found.measured.items():
        if count < found.images:
            yield f"{title(key)}: over {count} of the images, the others have no value"
    shares = "  ".join(f"{label} {share:.0%}" for label, share in found.classes.items())
    yield f"tiles: {shares}"


def _verdict(oracle: Oracle) -> str:
    """How the router compares with the oracle, whose row is computed and not run."""
    if oracle.kept is None:
        return "oracle (computed, not run): knowing every error would save nothing here either"
    if oracle.kept < 0:
        return (
            f"the router saves nothing: its plans cost {oracle.routed.cost:.2f} of the deepest "
            f"expert, the oracle's {oracle.at_quality.cost:.2f} at the same quality (computed, "
            "not run)"
        )
    return (
        f"the router keeps {oracle.kept:.0%} of the oracle's saving: it costs "
        f"{oracle.routed.cost:.2f}, the oracle {oracle.at_quality.cost:.2f} at the same quality "
        "(computed, not run)"
    )


def _number(value: float) -> str:
    """Three places from ten on, four below; inf as it is, – where there is no value."""
    if value != value:
        return "–"
    return f"{value:.{3 if abs(value) >= 10 else 4}f}"
