"""What `mmsr export --single-file` adds: a bundle, given or just made, as one graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.errors import BundleError

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Bundle


def given_bundle(source: Path, out: Path, for_runs: bool) -> Bundle | None:
    """The bundle of that path or name, verified; None where `source` is a run.

    `for_runs` says that an option is there which only a run can be exported with: UsageError
    beside a bundle. BundleError when `out` exists: the write would say so, minutes later.
    """
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_registry import Registry

    if out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another --out")
    if (source / "recipe.json").exists():
        return None
    directory = Registry().find(str(source))
    if for_runs:
        raise click.UsageError(
            "--name, --version, --int8, --fp16 and --images are for a RUN; a bundle is as it is"
        )
    return Bundle.open(directory)


def write_single_file(bundle: Bundle, out: Path, tiles: bool, required_effort: bool) -> None:
    """Write a bundle as one graph `out`, and say so."""
    from mmsr_core.cli.extras import needs

    with needs("train,cpu", "mmsr export --single-file"):
        from mmsr_onnx.single import export_single
    difference = export_single(bundle, out, tiles, required_effort, tell)
    manifest = bundle.manifest
    click.echo(
        f"{out}: {manifest.name} {manifest.version} as one graph of "
        f"{'tiles' if tiles else 'images'}, {out.stat().st_size / 2**20:.1f} MiB, "
        f"parity {difference:.1e}, "
        + ("effort required" if required_effort else f"effort {manifest.effort.default:.2f}")
    )


def tell(step: str) -> None:
    """What an export is doing, on the terminal."""
    click.echo(f"exporting: {step}", err=True)
