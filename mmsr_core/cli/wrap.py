"""mmsr wrap: upscalers made elsewhere and photographs in, a routed bundle out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mmsr_core.draft import GivenExpert
    from mmsr_core.measure.oracle import Oracle
    from mmsr_core.plugin.catalog import Catalog

BUNDLE = "bundle"
"""Where the bundle lies in the run."""


@click.command(
    epilog="""\b
Examples:
  mmsr wrap shallow.onnx deep.pth --images photos --out runs/mine
  mmsr wrap a.safetensors b.pth c.onnx --images photos --out runs/mine --name mine-x4
"""
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of HR photographs, a dozen or more, on which the experts' errors are measured.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory of the run.")
@click.option("--name", help="Name of the bundle.  [default: that of --out]")
@click.option(
    "--force",
    is_flag=True,
    help="Take networks too that look at the whole picture, or whose range of values is unknown.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path),
    help="Run mmsr bench on photographs kept aside and draw it: quality lost over time.",
)
def command(
    files: tuple[Path, ...],
    images: Path,
    out: Path,
    name: str | None,
    force: bool,
    plot_file: Path | None,
) -> None:
    """Make a routed bundle of upscalers that were trained elsewhere.

    FILES are ONNX graphs, or checkpoints that a loader plugin opens (spandrel: .pth, .pt, .ckpt,
    .safetensors). Scale, range and reach are found by running them; bicubic is added below. Their
    errors are measured on the photographs, a router is fitted to them, and the bundle is
    exported to OUT/bundle. No network is trained. Costs are measured on this machine, so let it
    be idle.
    """
    from tempfile import TemporaryDirectory

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.files import check_place
    from mmsr_core.cli.progress import Stages
    from mmsr_core.cli.single import tell
    from mmsr_core.plugin.catalog import Catalog

    check_place(plot_file)
    catalog = Catalog.load()
    with needs("train,cpu", "mmsr wrap"):
        from mmsr_core.train.stages import make_draft
        from mmsr_core.train.wrap import check_request, saving, wrap, write_held_back
        from mmsr_onnx import export
        from mmsr_onnx.given.wrap import quantize_given
    if plot_file is not None:
        with needs("plot", "--plot"):
            import matplotlib  # noqa: F401
    check_request(images, out)
    with Stages() as stages:
        experts = []
        for number, path in enumerate(files, 1):
            experts.append(_opened(path, catalog, force))
            stages.report("files", number, len(files))
        _show(experts)
        run = wrap(experts, images, out, name, catalog, stages.report, quantize_given)
    draft = make_draft(run, catalog)
    bundle = export(draft, out / BUNDLE, tell)
    reached: dict[str, float] = run.scores()["psnr_y"]
    for label, psnr in reached.items():
        click.echo(f"{label:12} {psnr:6.2f} dB on the test split")
    *_, dearest = reached
    best = max(reached, key=lambda label: reached[label])
    if best != dearest:
        click.echo(
            f"{best} has smaller errors than {dearest}, and the default effort goes by errors: "
            f"where you want {dearest} for its looks, say --effort 1",
            err=True,
        )
    _tell_saving(saving(draft, bundle.manifest))
    if plot_file is not None:
        from mmsr_core.measure.bench.bench import Ask, bench
        from mmsr_core.measure.bench.plot import plot

        with TemporaryDirectory(prefix="mmsr-wrap-") as folder, Stages() as stages:
            write_held_back(run, images, Path(folder))
            plot(bench(Ask(bundle.directory, Path(folder), repeats=1), stages.report), plot_file)
    click.echo(f"{bundle.directory}: {bundle.manifest.name}, ready")
    click.echo(f"next: mmsr upscale PHOTO.jpg -o LARGE.png --model {bundle.directory}")


def _show(experts: Sequence[GivenExpert]) -> None:
    """What was found out about each file, cheapest first."""
    from mmsr_core.cli.table import table

    rows = []
    for expert in sorted(experts, key=lambda expert: expert.macs):
        reach = "far" if expert.radius is None else str(expert.radius)
        row = (expert.file, expert.architecture, f"x{expert.scale}", f"{expert.macs:,.0f}")
        rows.append((*row, reach, str(expert.halo), f"{expert.parity:.1e}"))
    heads = ("file", "architecture", "scale", "MACs/pixel", "reach", "halo", "parity")
    click.echo(table(heads, rows))


def _tell_saving(found: Oracle) -> None:
    """What the default effort saves, and when it saves nothing, why."""
    cost, lost = found.routed.cost, found.routed.lost
    kept = "" if found.kept is None else f", {found.kept:.0%} of what a perfect router would save"
    what = f"{lost:.3f} dB less" if lost >= 0 else f"{-lost:.3f} dB more"
    click.echo(
        f"at its default effort, computed for photographs that the router has not seen: {cost:.2f} "
        f"of the dearest expert's time, {what}{kept}"
    )


def _opened(path: Path, catalog: Catalog, force: bool) -> GivenExpert:
    """One file as an expert; the suffix says who opens it."""
    from mmsr_core.errors import PluginError
    from mmsr_onnx.given.wrap import wrap_graph, wrap_loaded

    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return wrap_graph(path, force)
    for loader in catalog.loaders():
        if suffix in loader.suffixes:
            return wrap_loaded(path, loader.load(path), force)
    known = sorted({".onnx", *(s for loader in catalog.loaders() for s in loader.suffixes)})
    raise PluginError(f"{path}: no plugin opens such files; there are {' '.join(known)}")
