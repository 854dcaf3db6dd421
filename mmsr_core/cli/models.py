"""`mmsr models`: the stored bundles."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.cli.facts import codec_facts, megabytes, size_of, upscaler_facts
from mmsr_core.cli.table import table

if TYPE_CHECKING:
    from mmsr_registry import Registry
    from mmsr_registry.download import Downloads

SOURCE = """\b
Examples:
  mmsr models add my-model/
  mmsr models add my-model.zip
  mmsr models add https://example.org/my-model.zip --sha256 9f86d0…
  mmsr models add hf:somebody/my-model@v1
  mmsr models add my-model --index https://example.org/index.json
"""
SPEC = "MODEL is a name, name@version, or the path of a bundle."


@click.group("models")
def command() -> None:
    """List, show, search, add, remove and verify models.

    Models live in $MMSR_HOME (default ~/.local/share/mmsr); some ship with mmsr.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the models that are there, oldest version first."""
    from mmsr_core.errors import BundleError
    from mmsr_core.runtime.bundle import Manifest, read_facts
    from mmsr_registry import Registry

    registry = Registry()
    found: list[dict[str, Any]] = []
    for model in registry.list():
        kind, scale, experts, problem = "?", None, list[str](), None
        try:
            facts = read_facts(model.directory)
            kind = facts.kind
            if isinstance(facts, Manifest):
                scale, experts = facts.scale, [expert.name for expert in facts.experts]
        except BundleError as error:
            problem = str(error)
        found.append(
            {
                "name": model.name,
                "version": model.version,
                "kind": kind,
                "scale": scale,
                "experts": experts,
                "bytes": size_of(model.directory),
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
    from mmsr_core.runtime.bundle import Manifest, read_facts
    from mmsr_registry import Registry

    directory = Registry().find(model)
    facts = read_facts(directory)
    if as_json:
        click.echo(facts.model_dump_json(indent=2))
    elif isinstance(facts, Manifest):
        click.echo("\n\n".join(upscaler_facts(facts, directory)))
    else:
        click.echo("\n\n".join(codec_facts(facts, directory)))


@command.command(epilog=SOURCE)
@click.argument("source")
@click.option("--index", metavar="URL", help="Look SOURCE up by name in the index at URL.")
@click.option("--sha256", metavar="HEX", help="Refuse a bundle with another SHA-256.")
@click.option(
    "--limit",
    metavar="MIB",
    type=click.FloatRange(min=0, min_open=True),
    default=1024,
    show_default=True,
    help="Download at most so many MiB.",
)
def add(source: str, index: str | None, sha256: str | None, limit: float) -> None:
    """Verify the bundle at SOURCE and store a copy of it.

    SOURCE is a directory, a zip file, the https:// address of a zip file or of a manifest.json,
    hf:OWNER/REPO[@REVISION][/PATH], or, with --index, a name or name@version.
    """
    from mmsr_registry import Registry
    from mmsr_registry.remote import Remote, check_pin, is_remote

    registry = Registry()
    before = registry.list()
    pin = None if sha256 is None else _hex(sha256)
    if index is None and not is_remote(source):
        if pin is not None:
            check_pin(Path(source), pin)
        added = registry.add(source)
    else:
        with (
            _downloads(registry, limit) as downloads,
            Remote(downloads).bundle(source, index, pin) as directory,
        ):
            added = registry.add(directory)
    if added in before:
        click.echo(f"{added}: is there already, the same to the byte ({added.directory})")
        return
    click.echo(f"{added}: added to {added.directory}")
    if any(model.shipped and model.name == added.name for model in before):
        click.echo(
            f"note: a model named {added.name} ships with mmsr too; `{added.name}` now means the "
            "newer of the two",
            err=True,
        )


@command.command()
@click.argument("words", nargs=-1)
@click.option("--index", metavar="URL", required=True, help="The index: its address, or a file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def search(words: tuple[str, ...], index: str, as_json: bool) -> None:
    """List the models of an index that WORDS describe, all of them without WORDS."""
    from mmsr_registry import Registry
    from mmsr_registry.index import read_index

    with _downloads(Registry(), limit=4) as downloads:
        found = read_index(index, downloads).search(" ".join(words))
    if as_json:
        click.echo(json.dumps([entry.model_dump() for entry in found], indent=2))
    elif found:
        heads = ("name", "version", "size", "licence", "summary")
        rows = [
            (entry.name, entry.version, megabytes(entry.size), entry.licence, entry.summary)
            for entry in found
        ]
        click.echo(table(heads, rows))
    else:
        click.echo("the index has no such model")


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


@contextmanager
def _downloads(registry: Registry, limit: float) -> Iterator[Downloads]:
    """Downloads into the registry's home, with a bar where somebody watches."""
    from mmsr_core.cli.progress import Stages
    from mmsr_registry.download import Downloads

    folder, most = registry.home / ".downloads", int(limit * 2**20)
    if not sys.stderr.isatty():
        yield Downloads(folder, most)
        return
    with Stages() as stages:
        yield Downloads(
            folder, most, lambda done, total: stages.report(megabytes(total), done, total)
        )


def _hex(text: str) -> str:
    from mmsr_core.errors import BundleError

    digest = text.strip().lower().removeprefix("sha256:")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BundleError(f'--sha256 "{text}": a SHA-256 has 64 digits from 0 to f')
    return digest


def _row(model: Mapping[str, Any]) -> list[object]:
    scale = f"×{model['scale']}" if model["scale"] else model["kind"]
    where = model["problem"] or ("ships with mmsr" if model["shipped"] else model["directory"])
    count = len(model["experts"])
    return [model["name"], model["version"], scale, count, megabytes(model["bytes"]), where]
