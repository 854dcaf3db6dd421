"""The paragraphs of `mmsr models show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmsr_core.cli.table import table

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Facts, Manifest
    from mmsr_core.runtime.codec.manifest import CodecManifest

SHOWN = 24
"""Features of a router that `show` names."""


def upscaler_facts(manifest: Manifest, directory: Path) -> list[str]:
    """The paragraphs of an upscaler."""
    tiles, made = manifest.tiles, manifest.made
    effort = f"default {manifest.effort.default:g}"
    about = [
        ("model", f"{manifest.name}@{manifest.version}"),
        ("directory", directory),
        ("scale", f"×{manifest.scale}"),
        ("size", megabytes(size_of(directory))),
        ("tiles", f"cell {tiles.cell}, halo {tiles.halo}, seam {tiles.seam} LR pixels"),
        ("router", f"{manifest.router.output} from {_some(manifest.router.features)}"),
        ("router cost", f"{manifest.router.cost:.3f}" if manifest.router.cost else "not measured"),
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
    found = [
        table(("fact", "value"), about),
        table(("expert", "backbone", "depth", "precision", "cost", "macs/px", "radius"), experts),
        table(("class", "experts", "fuser", "cost"), routes),
    ]
    return found + _origin(manifest)


def codec_facts(manifest: CodecManifest, directory: Path) -> list[str]:
    """The paragraphs of a codec."""
    about = [
        ("codec", f"{manifest.name}@{manifest.version}"),
        ("directory", directory),
        ("size", megabytes(size_of(directory))),
        ("network", manifest.codec),
        ("codes", f"{manifest.channels} channels, one of each per 8×8 pixels"),
        ("made by", manifest.made.by),
        *manifest.made.versions.items(),
    ]
    points = [
        (p.bits, "" if p.qp is None else p.qp, f"{p.bpp:.3f}", f"{p.psnr:.2f}", f"{p.ms_ssim:.4f}")
        for p in manifest.qualities
    ]
    found = [table(("fact", "value"), about)]
    if points:
        found.append(table(("bits", "qp", "bpp", "psnr", "ms-ssim"), points))
    return found + _origin(manifest)


def _origin(manifest: Facts) -> list[str]:
    """What a bundle was trained on, and what it scored."""
    made = manifest.made
    data = [("; ".join(f"{key}: {value}" for key, value in row.items()),) for row in made.data]
    scores = [(name, _plain(value)) for name, value in made.scores.items()]
    found = []
    if data:
        found.append(table(("training data",), data))
    if scores:
        found.append(table(("score", "value"), scores))
    return found


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e6:.2f} MB"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return str(value)


def _some(names: Sequence[str]) -> str:
    """The names with commas, the first ones where there are many."""
    more = [f"… ({len(names)})"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more])
