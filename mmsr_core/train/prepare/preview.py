"""A few of a store's tiles to look at, the pruned ones too."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmsr_core.train.data import Bytes, Photo, load_pair
from mmsr_core.train.prepare.cut import cut
from mmsr_core.train.prepare.prune import ETVAT
from mmsr_core.train.prepare.store import Store


def texture(store: Store) -> npt.NDArray[np.float64]:
    """What tiles (n,) are ordered by: their ETVAT, else the first feature."""
    wanted = [store.names.index(name) for name in ETVAT if name in store.names]
    return np.asarray(store.index.scores[:, wanted or [0]].mean(axis=1, dtype=np.float64))


def preview(store: Store, images: Path, kept: bool, count: int) -> Bytes:
    """Up to `count` HR tiles (k,s·t,s·t,3), kept or pruned, evenly spread from flat to textured.

    Pruned tiles are cut anew from the photographs below `images`. MmsrError when one that is
    needed can't be read.
    """
    among = np.flatnonzero(store.index.kept == kept)
    ordered = among[np.argsort(texture(store)[among], kind="stable")]
    spread = np.linspace(0, len(ordered) - 1, min(count, len(ordered)))
    chosen = ordered[np.rint(spread).astype(np.int64)]
    if kept:
        return store.read(np.searchsorted(store.rows, chosen))[1]
    side = store.tile * store.scale
    tiles = np.empty((len(chosen), side, side, 3), np.uint8)
    root = images if images.is_dir() else images.parent
    for number in np.unique(store.index.photo[chosen]).tolist():
        source = store.sources[number]
        hr = load_pair(Photo(root / source.path, source.shrink, number), store.scale).hr
        mine = store.index.photo[chosen] == number
        rows = chosen[mine]
        corners = np.stack([store.index.top[rows], store.index.left[rows]], axis=1)
        tiles[mine] = cut(hr, corners * store.scale, side)
    return tiles
