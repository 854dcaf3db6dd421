"""mmsr export: a finished run in, a bundle out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mmsr_core.errors import ExportError

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_core.train.run import Run
    from mmsr_onnx.precision import Lower

JUDGES = 40
"""Photographs that a precision is judged on."""


@click.command(
    epilog="""\b
Examples:
  mmsr export runs/x4 --onnx --out bundles/x4
  mmsr export runs/x4 --onnx --out bundles/x4 --name mine --version 1.1.0
  mmsr export runs/x4 --onnx --out bundles/x4 --int8 --images photos
  mmsr export runs/resgdn --onnx --out bundles/resgdn
  mmsr export compact-x4 --onnx --single-file --out compact-x4.onnx
  mmsr export compact-x4 --triton models
  mmsr export compact-x4 --web page
"""
)
@click.argument("run", metavar="RUN|BUNDLE", type=click.Path(path_type=Path))
@click.option("--onnx", "as_onnx", is_flag=True, help="Write ONNX graphs, to --out.")
@click.option("--out", type=click.Path(path_type=Path), help="The bundle, or the one file.")
@click.option("--name", help="Name of the bundle.  [default: the recipe's]")
@click.option("--version", metavar="X.Y.Z", help="Its version.  [default: the recipe's]")
@click.option(
    "--int8",
    is_flag=True,
    help="8 bits, for CPUs, in every expert that loses at most 0.05 dB and gets faster.",
)
@click.option(
    "--fp16", is_flag=True, help="fp16, for GPUs, in every expert that loses at most 0.02 dB."
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder that the recipe's data folders lie in; its photographs judge --int8 and --fp16.",
)
@click.option(
    "--single-file", is_flag=True, help="One graph that routes by itself; also of a BUNDLE."
)
@click.option("--tiles", is_flag=True, help="With --single-file: it takes tiles, not an image.")
@click.option(
    "--required-effort", is_flag=True, help="With --single-file: it has no default effort."
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Add it to this model repository of NVIDIA's Triton Inference Server; also of a BUNDLE.",
)
@click.option("--python", is_flag=True, help="With --triton: on the server's Python backend.")
@click.option(
    "--web",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A page that upscales in the visitor's browser; also of a BUNDLE.",
)
@click.option(
    "--runtime",
    type=click.Path(path_type=Path),
    metavar="DIR|TGZ",
    help="With --web: the npm package onnxruntime-web.  [default: npm fetches it]",
)
@click.option(
    "--webgpu/--no-webgpu",
    default=True,
    help="With --web: a visitor's GPU is used; without, DIR is smaller.  [default: webgpu]",
)
def command(
    run: Path,
    as_onnx: bool,
    out: Path | None,
    name: str | None,
    version: str | None,
    int8: bool,
    fp16: bool,
    images: Path | None,
    single_file: bool,
    tiles: bool,
    required_effort: bool,
    triton: Path | None,
    python: bool,
    web: Path | None,
    runtime: Path | None,
    webgpu: bool,
) -> None:
    """Turn a finished RUN into a bundle that upscales, or compresses, without torch.

    Every graph is compared with the trained model it came from, and nothing is written when one
    differs. Costs are measured on this machine, so let it be idle.

    With --single-file, a RUN or a BUNDLE (a path or a stored model's name) becomes one ONNX graph:
    features, routing, experts and fusion, for programs that know no mmsr. --triton and --web put
    that graph into a server's model repository, or under a page for browsers.
    """
    from tempfile import TemporaryDirectory

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.single import Forms, given_bundle, tell
    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.train.codec.recipe import is_codec_run

    one = Forms(single_file, tiles, required_effort, triton, python, web, runtime, webgpu)
    one.check(as_onnx, out)
    precision = _precision(int8, fp16, images)
    if is_codec_run(run):
        if precision or one.any or out is None:
            raise click.UsageError(
                f"{run} is a codec's: it takes --onnx, --out, --name and --version alone"
            )
        _export_codec(run, out, name, version)
        return
    if one.any:
        given = given_bundle(run, out or web, bool(name or version or precision))
        if given is not None:
            one.write(given, out)
            return
    with needs("train,cpu", "mmsr export"):
        from mmsr_core.train.run import Run
        from mmsr_core.train.stages import make_draft
        from mmsr_onnx import export
    opened = Run.open(run)
    draft = make_draft(opened, Catalog.load())
    draft = replace(draft, name=name or draft.name, version=version or draft.version)
    with needs("train,cpu", "mmsr export"):
        lower = _lower(opened, images, precision) if precision and images else None
        if one.any or out is None:
            with TemporaryDirectory() as work:
                one.write(export(draft, Path(work) / "bundle", tell, lower), out)
            return
        bundle = export(draft, out, tell, lower)
    _show(bundle)
    if fp16:
        click.echo("fp16 is for GPUs: a CPU gains no time by it, and its times are the costs here")


def _export_codec(run: Path, out: Path, name: str | None, version: str | None) -> None:
    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.single import tell
    from mmsr_core.plugin.catalog import Catalog

    with needs("train,cpu", "mmsr export"):
        from mmsr_core.train.codec.run import CodecRun
        from mmsr_core.train.codec.stages import make_codec_draft
        from mmsr_onnx.codec import export_codec

        draft = make_codec_draft(CodecRun.open(run), Catalog.load())
        draft = replace(draft, name=name or draft.name, version=version or draft.version)
        bundle = export_codec(draft, out, tell)
    manifest = bundle.manifest
    size = sum((out / file).stat().st_size for file in manifest.files)
    points = manifest.qualities
    click.echo(
        f"{out}: {manifest.name} {manifest.version}, {size / 2**20:.1f} MiB, "
        f"{points[0].bpp:.3f} to {points[-1].bpp:.3f} bits per pixel"
    )


def _precision(int8: bool, fp16: bool, images: Path | None) -> Literal["fp16", "int8"] | None:
    """The precision asked for; ExportError when the options don't go together."""
    if int8 and fp16:
        raise ExportError("--int8 and --fp16: an expert has one precision; give one of them")
    asked: Literal["fp16", "int8"] | None = "int8" if int8 else "fp16" if fp16 else None
    if asked and images is None:
        raise ExportError(
            f"--{asked} needs photographs that say what it loses; give the folder that the run "
            "was trained on: --images FOLDER"
        )
    if images is not None and not asked:
        raise ExportError("--images is for --int8 and --fp16; give one of them, or leave it out")
    return asked


def _lower(run: Run, images: Path, precision: Literal["fp16", "int8"]) -> Lower:
    """The photographs of a run that decide on a precision, and what 8 bits take ranges from."""
    from mmsr_core.train.data import load_some
    from mmsr_core.train.eightbit import seen_images
    from mmsr_onnx.precision import Lower

    judges = load_some(run.recipe, images, "router", JUDGES)
    return Lower(
        precision=precision,
        seen=seen_images(run.recipe, images) if precision == "int8" else (),
        judges=[(pair.lr, pair.hr) for pair in judges],
    )


def _show(bundle: Bundle) -> None:
    from mmsr_core.cli.table import table

    manifest = bundle.manifest
    costs = {expert.exact: expert.exact_cost for expert in manifest.experts if expert.exact_cost}
    costs |= {expert.graph: expert.cost for expert in manifest.experts}
    macs = {graph: e.macs for e in manifest.experts for graph in (e.exact, e.graph) if graph}
    sizes = {graph: (bundle.directory / graph).stat().st_size for graph in manifest.files}
    rows = []
    for graph, size in sizes.items():
        row = [graph, f"{size / 1024:.0f}", f"{manifest.made.scores['parity'][graph]:.1e}"]
        if graph in costs:
            row += [f"{macs[graph]:.0f}", f"{costs[graph]:.4f}"]
        rows.append(row + [""] * (5 - len(row)))
    click.echo(table(("graph", "KiB", "parity", "MACs/pixel", "cost"), rows))
    for expert in manifest.experts:
        if expert.reason:
            click.echo(f"{expert.name}: {expert.precision}; {expert.reason}")
    click.echo(
        f"{bundle.directory}: {manifest.name} {manifest.version}, "
        f"{sum(sizes.values()) / 2**20:.1f} MiB, default effort {manifest.effort.default:.2f}"
    )
