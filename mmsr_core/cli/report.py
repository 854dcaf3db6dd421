"""mmsr report: the papers' tables from measured runs."""

from pathlib import Path

import click

from mmsr_core.cli.study import Counts


@click.command(
    epilog="""\b
Examples:
  mmsr report runs/x4 --out report
  mmsr report runs/srgan runs/esrgan --plain runs/srgan-16-8 --plain runs/esrgan-16 \\
      --evaluation srgan.json --evaluation esrgan.json --store photos.tiles --out report
"""
)
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--plain",
    "plains",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Run of one deep expert, which the RUN of the same backbone is compared with.",
)
@click.option(
    "--evaluation",
    "evaluations",
    type=click.Path(path_type=Path),
    multiple=True,
    help="What mmsr evaluate --json wrote of a bundle made of one of the runs.",
)
@click.option(
    "--store",
    "stores",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Store of tiles, for what pruning left of it.",
)
@click.option(
    "--workers",
    type=Counts(),
    default="1,3",
    show_default=True,
    help="Numbers of workers to work out training times for.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of report.md and PNGs."
)
def command(
    runs: tuple[Path, ...],
    plains: tuple[Path, ...],
    evaluations: tuple[Path, ...],
    stores: tuple[Path, ...],
    workers: tuple[int, ...],
    out: Path,
) -> None:
    """Write tables and pictures of what runs, evaluations, studies and stores measured.

    Experts and what training them took; which expert is best on which class of tiles; training
    time on one and more workers; quality and time against a plain deep model; routers; pruning.
    A table whose figures are missing is replaced by the command that measures them.
    """
    from mmsr_core.cli.extras import needs
    from mmsr_core.measure.report.book import Ask, make_report, write_report

    with needs("plot", "mmsr report"):
        import matplotlib  # noqa: F401
    sections = make_report(Ask(runs, plains, evaluations, stores, workers))
    path = write_report(sections, out)
    for section in sections:
        click.echo(section.outline())
    click.echo(f"{path}: written")
