"""mmsr prepare: photographs in, a store of tiles to train from out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.errors import one_line

if TYPE_CHECKING:
    from mmsr_core.train.prepare.store import Store

LISTED = 10
"""Skipped photographs that are named on the terminal."""


@click.command(
    epilog="""\b
Examples:
  mmsr prepare photos --out photos.tiles --prune 0.42 --report tiles.png
  mmsr prepare photos --out photos.tiles --tile 32 --shrink 1 --shrink 3
"""
)
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the store.")
@click.option("--scale", default=4, show_default=True, help="HR pixels for an LR pixel.")
@click.option("--tile", default=48, show_default=True, help="Side of a tile, in LR pixels.")
@click.option("--overlap", default=0, show_default=True, help="LR pixels that neighbours share.")
@click.option(
    "--shrink",
    type=int,
    multiple=True,
    default=(1,),
    show_default=True,
    help="Reduce photographs by this factor first; repeat it to take them at several sizes.",
)
@click.option("--prune", type=float, help="Share of the tiles to leave out, the flattest: 0.42.")
@click.option("--threshold0", type=float, help="VSP that a pixel has to exceed to count in ETVAT.")
@click.option("--threshold1", type=float, help="Edge magnitude that limited Edge_score starts at.")
@click.option("--threshold2", type=float, help="ETVAT under which a tile votes flat.")
@click.option("--threshold3", type=float, help="Edge_score under which a tile votes flat.")
@click.option("--threshold4", type=float, help="Limited Edge_score under which a tile votes flat.")
@click.option("--extractor", default="texture", show_default=True, help="What scores the tiles.")
@click.option(
    "--jobs", type=click.IntRange(1), help="Photographs at a time.  [default: one a core]"
)
@click.option("--report", "picture", type=click.Path(path_type=Path), help="Draw a PNG of it all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    images: Path,
    out: Path,
    scale: int,
    tile: int,
    overlap: int,
    shrink: tuple[int, ...],
    prune: float | None,
    threshold0: float | None,
    threshold1: float | None,
    threshold2: float | None,
    threshold3: float | None,
    threshold4: float | None,
    extractor: str,
    jobs: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Cut the images of a folder into tiles, prune the flat ones, store the others.

    A tile falls when its ETVAT votes flat and so does at least one of its two edge scores.
    --prune finds the thresholds 2 to 4 that a share asks for. Interrupted at any moment, the
    same command goes on where it was; images that can't be used are named and skipped.
    """
    import os

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.files import check_place
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import MmsrError
    from mmsr_core.plugin.catalog import Catalog

    check_place(picture)
    if picture is not None:
        if picture.resolve().is_relative_to(images.resolve()):
            raise MmsrError(f"{picture}: would be taken for one of the images; put it elsewhere")
        with needs("plot", "--report"):
            import matplotlib  # noqa: F401
    with needs("train", "mmsr prepare"):
        from mmsr_core.train.prepare.passes import prepare
    from mmsr_core.train.prepare.prune import Thresholds
    from mmsr_core.train.prepare.request import Request
    from mmsr_core.train.prepare.store import STORE

    votes = threshold2, threshold3, threshold4
    limits = {"threshold": threshold0, "edge_limit": threshold1}
    request = Request(
        scale=scale,
        tile=tile,
        overlap=overlap,
        shrink=shrink,
        share=prune,
        thresholds=Thresholds(*(value or 0.0 for value in votes)) if set(votes) != {None} else None,
        extractor=extractor,
        options={name: value for name, value in limits.items() if value is not None},
    )
    there = (out / STORE).is_file()
    with Stages() as stages:
        store = prepare(
            request, images, out, Catalog.load(), jobs or os.cpu_count() or 1, stages.report
        )
    _name_skipped(store)
    if picture is not None:
        _draw(store, images, picture)
    if as_json:
        click.echo(json.dumps(_facts(store), indent=2))
    else:
        if there:
            click.echo(f"{out}: is finished already; nothing to do")
        click.echo(_summary(store))


def _name_skipped(store: Store) -> None:
    skipped = store.facts["skipped"]
    for one in skipped[:LISTED]:
        shrunk = f" (reduced by {one['shrink']})" if one["shrink"] > 1 else ""
        line = f"skipped {one['path']}{shrunk}: {one['reason']}"
        click.echo(one_line(line), err=True)
    if len(skipped) > LISTED:
        rest = len(skipped) - LISTED
        click.echo(f"skipped {rest} more; store.json names them all", err=True)


def _facts(store: Store) -> dict[str, Any]:
    """What came of it, for a machine."""
    facts, options = store.facts, store.facts["request"]["options"]
    limits = {"vsp": options.get("threshold"), "edge_magnitude": options.get("edge_limit")}
    return {
        "store": str(store.directory),
        "scale": store.scale,
        "tile": store.tile,
        "photographs": len({source.path for source in store.sources}),
        **{key: facts[key] for key in ("tiles", "bytes", "pruned")},
        "target": facts["request"]["prune"],
        "thresholds": None if facts["thresholds"] is None else limits | facts["thresholds"],
        **{key: facts[key] for key in ("quantile", "skipped")},
    }


def _summary(store: Store) -> str:
    facts = _facts(store)
    tiles, size, found = facts["tiles"], facts["bytes"], facts["thresholds"]
    before, after = (f"{size[key] / 1e6:,.1f} MB" for key in ("all", "kept"))
    lines = [
        f"photographs  {facts['photographs']:,}",
        f"tiles        {tiles['all']:,} → {tiles['kept']:,}",
        f"bytes        {before} → {after}",
    ]
    if found is not None:
        target = "" if facts["target"] is None else f" (asked {facts['target']:.1%})"
        level = "" if facts["quantile"] is None else f", quantile {facts['quantile']:.4f} of each"
        lines += [
            f"pruned       {facts['pruned']:.1%}{target}",
            f"thresholds   VSP {found['vsp']:g}, edge magnitude {found['edge_magnitude']:g}",
            f"flat under   ETVAT {found['etvat']:.4g}, Edge_score {found['edge']:.4g}, "
            f"limited Edge_score {found['limited_edge']:.4g}{level}",
        ]
    return "\n".join(lines)


def _draw(store: Store, images: Path, picture: Path) -> None:
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.tilesheet import COLUMNS, KEPT, PRUNED, ROWS, Panel, Sheet, draw
    from mmsr_core.train.prepare.preview import preview
    from mmsr_core.train.prepare.prune import EDGES, ETVAT, SCORES, three_scores

    thresholds = store.facts["thresholds"]
    if set(ETVAT + EDGES) <= set(store.names):
        cuts = (None,) * 3 if thresholds is None else tuple(thresholds.values())
        scores = three_scores(store.index.scores, store.names)
        panels = [Panel(*one) for one in zip(SCORES, scores.T, cuts, strict=True)]
    else:
        columns = store.index.scores.astype(float).T[: len(SCORES)]
        panels = [Panel(name, scores) for name, scores in zip(store.names, columns, strict=False)]
    tiles, kept = store.facts["tiles"], store.index.kept
    groups = [("tiles", True, KEPT)]
    title = f"{tiles['all']:,} tiles"
    if not kept.all():
        groups = [("pruned", False, PRUNED), ("kept", True, KEPT)]
        title += f", {store.facts['pruned']:.1%} of them pruned, {tiles['kept']:,} kept"
    count = ROWS * COLUMNS // len(groups)
    sheets = [
        Sheet(f"{name}, from flat to textured", preview(store, images, which, count), colour)
        for name, which, colour in groups
    ]
    try:
        draw(picture, title, panels, kept, sheets)
    except OSError as error:
        raise MmsrError(f"{picture}: cannot write it ({error.strerror})") from None
