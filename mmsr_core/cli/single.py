"""What `mmsr export` makes of a bundle, given or just made: one graph, alone or at its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsr_core.errors import BundleError

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Bundle


@dataclass(frozen=True)
class Forms:
    """The options that ask for one graph: a file, a model of Triton's, or a page."""

    single_file: bool
    tiles: bool
    required_effort: bool
    triton: Path | None
    python: bool
    web: Path | None
    runtime: Path | None
    webgpu: bool

    @property
    def any(self) -> bool:
        """Whether one graph is wanted at all, and not a bundle."""
        return self.single_file or self.triton is not None or self.web is not None

    def check(self, as_onnx: bool, out: Path | None) -> None:
        """UsageError for options that don't go together."""
        if as_onnx + (self.triton is not None) + (self.web is not None) != 1:
            raise click.UsageError("give one of --onnx, --triton DIR and --web DIR")
        if as_onnx != (out is not None):
            raise click.UsageError("--onnx and --out go together")
        if self.single_file and not as_onnx:
            raise click.UsageError("--single-file is for --onnx; --triton and --web imply it")
        if (self.tiles or self.required_effort) and not self.single_file:
            raise click.UsageError("--tiles and --required-effort are for --single-file")
        if self.python and self.triton is None:
            raise click.UsageError("--python is for --triton")
        if self.runtime is not None and self.web is None:
            raise click.UsageError("--runtime is for --web")
        if not self.webgpu and self.web is None:
            raise click.UsageError("--no-webgpu is for --web")

    def write(self, bundle: Bundle, out: Path | None) -> None:
        """Write a bundle as what was asked for, and say so; `out` is the one file."""
        from mmsr_core.cli.extras import needs

        with needs("train,cpu", "mmsr export of one graph"):
            if self.triton is not None:
                self._write_triton(bundle, self.triton)
            elif self.web is not None:
                self._write_web(bundle, self.web)
            elif out is not None:
                self._write_file(bundle, out)

    def _write_file(self, bundle: Bundle, out: Path) -> None:
        from mmsr_onnx.single import export_single

        difference = export_single(bundle, out, self.tiles, self.required_effort, tell)
        manifest = bundle.manifest
        click.echo(
            f"{out}: {manifest.name} {manifest.version} as one graph of "
            f"{'tiles' if self.tiles else 'images'}, {out.stat().st_size / 2**20:.1f} MiB, "
            f"parity {difference:.1e}, "
            + ("effort required" if self.required_effort else f"effort {_effort(bundle)}")
        )

    def _write_triton(self, bundle: Bundle, repository: Path) -> None:
        from mmsr_onnx.triton import export_triton

        folder, difference = export_triton(bundle, repository, self.python, tell)
        click.echo(
            f"{folder}: {bundle.manifest.name} {bundle.manifest.version} for Triton's "
            f"{'Python' if self.python else 'ONNX Runtime'} backend, {_size(folder)}, "
            f"parity {difference:.1e}, default effort {_effort(bundle)}; serve it with "
            f"tritonserver --model-repository {repository}"
        )

    def _write_web(self, bundle: Bundle, out: Path) -> None:
        from mmsr_onnx.web import export_web

        difference = export_web(bundle, out, self.runtime, tell, self.webgpu)
        click.echo(
            f"{out}: a page for {bundle.manifest.name} {bundle.manifest.version}, {_size(out)}, "
            f"parity {difference:.1e}, effort {_effort(bundle)}; any web server shows it, "
            f"python -m http.server -d {out} on this machine"
        )


def given_bundle(source: Path, out: Path | None, for_runs: bool) -> Bundle | None:
    """The bundle of that path or name, verified; None where `source` is a run.

    `for_runs` says that an option is there which only a run can be exported with: UsageError
    beside a bundle. BundleError when `out` exists: the write would say so, minutes later.
    """
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_registry import Registry

    if out is not None and out.exists():
        raise BundleError(f"{out}: exists already; remove it or choose another place")
    if (source / "recipe.json").exists():
        return None
    directory = Registry().find(str(source))
    if for_runs:
        raise click.UsageError(
            "--name, --version, --int8, --fp16 and --images are for a RUN; a bundle is as it is"
        )
    return Bundle.open(directory)


def tell(step: str) -> None:
    """What an export is doing, on the terminal."""
    click.echo(f"exporting: {step}", err=True)


def _effort(bundle: Bundle) -> str:
    return f"{bundle.manifest.effort.default:.2f}"


def _size(folder: Path) -> str:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total / 2**20:.1f} MiB"
