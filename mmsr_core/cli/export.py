"""mmsr export: a finished run in, a bundle out."""

from dataclasses import replace
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  mmsr export runs/x4 --onnx --out bundles/x4
  mmsr export runs/x4 --onnx --out bundles/x4 --name mine --version 1.1.0
"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--onnx", "as_onnx", is_flag=True, required=True, help="Write ONNX graphs.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Directory of the bundle."
)
@click.option("--name", help="Name of the bundle.  [default: the recipe's]")
@click.option("--version", metavar="X.Y.Z", help="Its version.  [default: the recipe's]")
def command(run: Path, as_onnx: bool, out: Path, name: str | None, version: str | None) -> None:
    """Turn a finished RUN into a bundle that upscales without torch.

    Every graph is compared with the trained model it came from, and nothing is written when one
    differs. Costs are measured on this machine, so let it be idle.
    """
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.table import table
    from mmsr_core.plugin.catalog import Catalog

    with needs("train,cpu", "mmsr export"):
        from mmsr_core.train.run import Run
        from mmsr_core.train.stages import make_draft
        from mmsr_onnx import export
    draft = make_draft(Run.open(run), Catalog.load())
    draft = replace(draft, name=name or draft.name, version=version or draft.version)
    with needs("train,cpu", "mmsr export"):
        bundle = export(draft, out, lambda step: click.echo(f"exporting: {step}", err=True))
    manifest = bundle.manifest
    experts = {expert.graph: expert for expert in manifest.experts}
    sizes = {graph: (bundle.directory / graph).stat().st_size for graph in manifest.files}
    rows = []
    for graph, size in sizes.items():
        row = [graph, f"{size / 1024:.0f}", f"{manifest.made.scores['parity'][graph]:.1e}"]
        if graph in experts:
            row += [f"{experts[graph].macs:.0f}", f"{experts[graph].cost:.4f}"]
        rows.append(row + [""] * (5 - len(row)))
    click.echo(table(("graph", "KiB", "parity", "MACs/pixel", "cost"), rows))
    click.echo(
        f"{out}: {manifest.name} {manifest.version}, {sum(sizes.values()) / 2**20:.1f} MiB, "
        f"default effort {manifest.effort.default:.2f}"
    )
