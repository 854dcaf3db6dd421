"""What `mmsr evaluate` does with a codec."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.errors import MmsrError

if TYPE_CHECKING:
    from mmsr_core.measure.codecs.rates import Rates


def is_codec(model: str) -> bool:
    """Whether a model compresses; BundleError when there is none of that name."""
    from mmsr_core.runtime.bundle import read_facts
    from mmsr_registry import Registry

    return read_facts(Registry().find(model)).kind == "codec"


def evaluate_codec(
    model: str,
    images: Path,
    device: str,
    files: Mapping[str, Path | None],
    refused: Mapping[str, object],
    allocated: Path | None,
) -> None:
    """Measure a codec beside the standard ones; `files` are json, csv and plot.

    `allocated` is where to write it with the table of its best settings, for which it is
    measured alone.

    `refused` are options that are for models which upscale: UsageError when one is given.
    """
    from mmsr_core.cli.codecs import open_codec
    from mmsr_core.cli.files import write_csv, write_json
    from mmsr_core.cli.progress import Stages
    from mmsr_core.measure.codecs import allocate
    from mmsr_core.measure.codecs.rates import measure_rates, settings_of

    for option, value in refused.items():
        if value:
            raise click.UsageError(f"{option} is for a model that upscales; {model} is a codec")
    if allocated is not None and allocated.exists():
        raise MmsrError(f"{allocated}: exists already; remove it or choose another --allocate")
    codec = open_codec(model, device)
    settings = settings_of(codec) if allocated is None else allocate.candidates()
    with Stages() as stages:
        found = measure_rates(codec, images, settings, stages.report, allocated is not None)
    for line in _lines(found):
        click.echo(line)
    if allocated is not None:
        count = allocate.write_allocated(codec.bundle, found, allocated)
        click.echo(f"{allocated}: {count} settings")
    json_file, csv_file, plot_file = (files[key] for key in ("json", "csv", "plot"))
    if json_file is not None:
        write_json(json_file, found.as_json())
    if csv_file is not None:
        write_csv(csv_file, found.as_table())
    if plot_file is not None:
        from mmsr_core.measure.codecs.plot import plot

        plot(found, plot_file)


def _lines(found: "Rates") -> Iterator[str]:
    from mmsr_core.cli.table import table

    yield f"{found.model} on {found.device}, {found.images} images"
    heads = ("codec", "setting", "bpp", "psnr", "ms-ssim", "encode s", "decode s", "residual")
    rows = [
        (
            row.codec,
            str(row.setting),
            f"{row.bpp:.3f}",
            f"{row.psnr:.2f}",
            f"{row.ms_ssim:.4f}",
            f"{row.encode:.2f}",
            f"{row.decode:.2f}",
            f"{row.residual:.0%}" if row.residual else "",
        )
        for row in found.rows
    ]
    yield table(heads, rows)
    if not found.bd:
        return
    yield f"BD-rate of {found.model}, all its settings and its base layer; less than 0 is better"
    base = found.bd_base
    shares = [(name, *map(_share, (*pair, *base[name]))) for name, pair in found.bd.items()]
    yield table(("against", "psnr", "ms-ssim", "base psnr", "base ms-ssim"), shares)


def _share(value: float) -> str:
    return f"{value:+.1%}" if value == value else "no common quality"
