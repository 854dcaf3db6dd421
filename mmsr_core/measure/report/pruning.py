"""Pruning: the tiles and bytes of stores before and after (M20.3)."""

from collections.abc import Mapping
from pathlib import Path

from mmsr_core.measure.report.files import Store
from mmsr_core.measure.report.section import Section, change, count, megabytes, share, table


def pruning_section(stores: Mapping[Path, Store]) -> Section:
    """What pruning left of every store, and of all of them."""
    heads = ["store", "tile", "tiles", "kept", "pruned", "MB", "MB kept", "change"]
    rows = [
        _row(
            str(path),
            f"{store.tile}",
            store.tiles.all,
            store.tiles.kept,
            store.bytes.all,
            store.bytes.kept,
        )
        for path, store in stores.items()
    ]
    tiles = [
        sum(store.tiles.all for store in stores.values()),
        sum(store.tiles.kept for store in stores.values()),
    ]
    size = [
        sum(store.bytes.all for store in stores.values()),
        sum(store.bytes.kept for store in stores.values()),
    ]
    if len(stores) > 1:
        rows.append(_row("all", "", *tiles, *size))
    finding = (
        f"{count(tiles[0])} tiles → {count(tiles[1])}, {megabytes(size[0])} MB → "
        f"{megabytes(size[1])} MB ({change(size[0], size[1])})."
    )
    explained = "Tiles are of so many LR pixels a side; bytes are those of LR and HR pixels."
    return Section("Pruning", finding, (explained, table(heads, rows)))


def _row(name: str, tile: str, tiles: int, kept: int, size: int, size_kept: int) -> list[str]:
    return [
        name,
        tile,
        count(tiles),
        count(kept),
        share(1 - kept / tiles if tiles else None),
        megabytes(size),
        megabytes(size_kept),
        change(size, size_kept),
    ]
