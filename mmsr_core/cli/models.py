"""`mmsr models`: the stored bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.cli.table import table

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Manifest

SPEC = "MODEL is a name, name@version, or the path of a bundle."


@click.group("models")
def command() -> None:
    """List, show, add, remove and verify models.

    Models live in $MMSR_HOME (default ~/.local/share/mmsr); some ship with mmsr.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the models that are there, oldest version first."""
    from mmsr_core.errors import BundleError
    from mmsr_core.runtime.bundle import read_manifest
    from mmsr_registry import Registry

    registry = Registry()
    found: list[dict[str, Any]] = []
    for model in registry.list():
        scale, experts, problem = None, list[str](), None
        try:
            manifest = read_manifest(model.directory)
            scale, experts = manifest.scale, [expert.name for expert in manifest.experts]
        except BundleError as error:
            problem = str(error)
        found.append(
            {
                "name": model.name,
                "version": model.version,
                "scale": scale,
                "experts": experts,
                "bytes": _size(model.directory),
                "shipped": model.shipped,
                "directory": str(model.directory),
                "problem": problem,
            }
        )
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        heads = ("name", "version", "scale", "experts", "size", "directory")
        click.echo(table(heads, [_row(model) for model in found]))
    else:
        click.echo(f"no model yet; `mmsr models add BUNDLE` copies one to {registry.home}")


@command.command(epilog=SPEC)
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def show(model: str, as_json: bool) -> None:
    """Show what a model is made of, and from."""
    from mmsr_core.runtime.bundle import read_manifest
    from mmsr_registry import Registry

    directory = Registry().find(model)
    manifest = read_manifest(directory)
    if as_json:
        click.echo(manifest.model_dump_json(indent=2))
    else:
        click.echo("\n\n".join(_facts(manifest, directory)))


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
def add(bundle: Path) -> None:
    """Verify the bundle in directory BUNDLE and store a copy of it."""
    from mmsr_registry import Registry

    added = Registry().add(bundle)
    click.echo(f"{added}: added to {added.directory}")


@command.command()
@click.argument("model")
def remove(model: str) -> None:
    """Delete the stored MODEL, a name or name@version."""
    from mmsr_registry import Registry

    removed = Registry().remove(model)
    click.echo(f"{removed}: removed")


@command.command(epilog=SPEC)
@click.argument("model")
def verify(model: str) -> None:
    """Check a model's manifest and the SHA-256 of each of its files."""
    from mmsr_registry import Registry

    bundle = Registry().verify(model)
    facts = bundle.manifest
    click.echo(f"{facts.name}@{facts.version}: sound, {len(facts.files)} files checked")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def _row(model: Mapping[str, Any]) -> list[object]:
    scale = f"×{model['scale']}" if model["scale"] else "?"
    where = model["problem"] or ("ships with mmsr" if model["shipped"] else model["directory"])
    count = len(model["experts"])
    return [model["name"], model["version"], scale, count, _megabytes(model["bytes"]), where]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return str(value)


def _facts(manifest: Manifest, directory: Path) -> list[str]:
    """The paragraphs of `show`."""
    tiles, made = manifest.tiles, manifest.made
    effort = f"default {manifest.effort.default:g}"
    about = [
        ("model", f"{manifest.name}@{manifest.version}"),
        ("directory", directory),
        ("scale", f"×{manifest.scale}"),
        ("size", _megabytes(_size(directory))),
        ("tiles", f"cell {tiles.cell}, halo {tiles.halo}, seam {tiles.seam} LR pixels"),
        ("router", f"{manifest.router.output} from {', '.join(manifest.router.features)}"),
        ("effort", effort if manifest.effort.prices else f"{effort}, not calibrated"),
        ("made by", made.by),
        *((name, version) for name, version in made.versions.items()),
    ]
    experts = [
        (e.name, e.backbone, e.depth, e.precision, f"{e.cost:.3f}", f"{e.macs:,.0f}", e.radius)
        for e in manifest.experts
    ]
    routes = [
        (label, " + ".join(route.experts), route.fuser or "", f"{manifest.route_cost(label):.3f}")
        for label, route in ((label, manifest.routes[label]) for label in manifest.classes)
    ]
    data = [("; ".join(f"{key}: {value}" for key, value in row.items()),) for row in made.data]
    scores = [(name, _plain(value)) for name, value in made.scores.items()]
    found = [
        table(("fact", "value"), about),
        table(("expert", "backbone", "depth", "precision", "cost", "macs/px", "radius"), experts),
        table(("class", "experts", "fuser", "cost"), routes),
    ]
    if data:
        found.append(table(("training data",), data))
    if scores:
        found.append(table(("score", "value"), scores))
    return found
