"""Preparing photographs: score every tile, decide which to prune, store the others.

Both passes go photograph by photograph, in threads: decoding, resampling and scoring all let go
of Python's lock. Whatever is finished stays finished, so that the same request, repeated, goes
on where it was cut off and ends with the same bytes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Pair, Photo, Report, load_pair
from mmsr_core.train.prepare.cut import cut
from mmsr_core.train.prepare.prune import calibrate, three_scores
from mmsr_core.train.prepare.request import Request
from mmsr_core.train.prepare.scored import Scored
from mmsr_core.train.prepare.shards import Writer, plan
from mmsr_core.train.prepare.store import FORMAT, INDEX, SHARDS, STORE, UNFINISHED, Store
from mmsr_core.train.run import read_json, write_json

REQUEST = "request.json"

T = TypeVar("T")
R = TypeVar("R")


def prepare(
    request: Request, images: Path, out: Path, catalog: Catalog, jobs: int, report: Report
) -> Store:
    """Make the store `out` of every image below `images`, or take up the unfinished one there.

    A finished store of the same request is opened as it is. Memory is that of `jobs`
    photographs. MmsrError when the folder holds no image or another store, when no tile is left,
    or when the disk says no; what is unfinished then can be continued.
    """
    extractor = request.build(catalog)
    names = tuple(map(str, extractor.names))  # type: ignore[arg-type]
    photos = request.find(images)
    root = images if images.is_dir() else images.parent
    with _writing(out):
        asked = request.facts(catalog, photos, root)
        if not _begin(out, asked):
            return Store.open(out)
        found = _score(request, photos, extractor, out, jobs, report)
        usable = [one for one in found if not one.skipped]
        if not usable:
            _discard(out)
            first = f"{found[0].photo.path.relative_to(root)}: {found[0].skipped}"
            raise RecipeError(f"{images}: nothing to cut a tile from; {first}")
        scores = np.concatenate([one.scores for one in usable])
        pruning, kept = _prune(request, scores, names)
        if not kept.any():
            _discard(out)
            raise RecipeError("these thresholds prune every tile; lower them")
        masks = np.split(kept, np.cumsum([len(one.scores) for one in usable])[:-1])
        shards = _cut(request, usable, masks, out, jobs, report)
        _write_index(request, usable, scores, kept, out / INDEX)
        count = {"all": len(kept), "kept": int(kept.sum())}
        facts = {
            "format": FORMAT,
            "scale": request.scale,
            "tile": request.tile,
            "features": names,
            "request": asked,
            "tiles": count,
            "bytes": {what: number * request.tile_bytes for what, number in count.items()},
            **pruning,
            "skipped": [_named(one, root, {"reason": one.skipped}) for one in found if one.skipped],
            "sources": [
                _named(one, root, {"tiles": len(mask), "kept": int(mask.sum())})
                for one, mask in zip(usable, masks, strict=True)
            ],
            "shards": shards,
        }
        write_json(out / STORE, facts)
        rmtree(out / UNFINISHED)
    return Store.open(out)


def _begin(out: Path, asked: dict[str, Any]) -> bool:
    """Whether there is something to do; RecipeError when something else is there."""
    unfinished = out / UNFINISHED
    if (out / STORE).is_file():
        _same(out, Store.open(out).facts.get("request", {}), asked)
        rmtree(unfinished, ignore_errors=True)
        return False
    if (unfinished / REQUEST).is_file():
        _same(out, read_json(unfinished / REQUEST), asked)
    elif out.exists() and any(path != unfinished for path in out.iterdir()):
        raise RecipeError(f"{out}: not empty and not a store; choose another --out")
    else:
        unfinished.mkdir(parents=True, exist_ok=True)
        write_json(unfinished / REQUEST, asked)
    (out / SHARDS).mkdir(exist_ok=True)
    return True


def _discard(out: Path) -> None:
    """Leave nothing of a store that can't be."""
    for folder in (UNFINISHED, SHARDS):
        rmtree(out / folder)
    with suppress(OSError):  # the user may have put something there
        out.rmdir()


def _same(out: Path, before: dict[str, Any], asked: dict[str, Any]) -> None:
    for key, value in asked.items():
        if before.get(key) != value:
            what = (
                f"other {key}, or they changed"
                if key == "photographs"
                else f"{key} {before.get(key)}, not {value}"
            )
            raise RecipeError(
                f"{out}: holds a store of {what}; choose another --out, or delete it first"
            )


def _score(
    request: Request,
    photos: Sequence[Photo],
    extractor: nn.Module,
    out: Path,
    jobs: int,
    report: Report,
) -> list[Scored]:
    """Score every photograph that has not been scored yet."""

    def score(item: tuple[int, Photo]) -> Scored:
        number, photo = item
        path = out / UNFINISHED / f"{number:06}.npz"
        if path.exists():
            return Scored.read(path, photo)
        scored = Scored.measure(request, photo, extractor)
        scored.save(path)
        return scored

    return _all(score, list(enumerate(photos)), jobs, "scoring", report)


def _prune(
    request: Request, scores: npt.NDArray[np.float32], names: tuple[str, ...]
) -> tuple[dict[str, Any], npt.NDArray[np.bool_]]:
    """What pruning comes to, for store.json, and which tiles (n,) stay."""
    thresholds, quantile = request.thresholds, None
    kept = np.ones(len(scores), np.bool_)
    if request.prunes:
        three = three_scores(scores, names)
        if request.share is not None:
            thresholds, quantile = calibrate(three, request.share)
        assert thresholds is not None
        kept = ~thresholds.prune(three)
    facts = {
        "pruned": float(1 - kept.mean()),
        "thresholds": None if thresholds is None else vars(thresholds),
        "quantile": quantile,
    }
    return facts, kept


def _cut(
    request: Request,
    usable: Sequence[Scored],
    masks: Sequence[npt.NDArray[np.bool_]],
    out: Path,
    jobs: int,
    report: Report,
) -> list[int]:
    """Write every shard that is not finished yet; the numbers of tiles in all of them."""
    counts = [int(mask.sum()) for mask in masks]
    shards = plan(counts, request.tile_bytes)
    writers = [Writer(out, shard, request.tile, request.scale) for shard in shards]
    writers = [writer for writer in writers if not writer.finished]

    def write(item: tuple[Writer, int]) -> None:
        writer, number = item
        if counts[number]:
            one, mask = usable[number], masks[number]
            pair = _again(one, request)
            places = one.corners(request)[mask]
            lr = cut(pair.lr, places, request.tile)
            writer.write(number, lr, cut(pair.hr, places * request.scale, request.side))

    def done(item: tuple[Writer, int]) -> None:
        writer, number = item
        # Photographs are written in any order, but `_all` hands them over in theirs.
        if number == writer.shard.last - 1:
            writer.finish()

    items = [(w, number) for w in writers for number in range(w.shard.first, w.shard.last)]
    try:
        for writer in writers:
            writer.begin()
        _all(write, items, jobs, "cutting", report, done)
    finally:
        for writer in writers:
            writer.abandon()
    return [shard.tiles for shard in shards]


def _again(one: Scored, request: Request) -> Pair:
    pair = load_pair(one.photo, request.scale)
    if pair.lr.shape[:2] != one.size:
        raise RecipeError(f"{one.photo.path}: has changed since it was scored; start anew")
    return pair


def _write_index(
    request: Request,
    usable: Sequence[Scored],
    scores: npt.NDArray[np.float32],
    kept: npt.NDArray[np.bool_],
    path: Path,
) -> None:
    places = np.concatenate([one.corners(request) for one in usable])
    photo = np.repeat(np.arange(len(usable)), [len(one.scores) for one in usable])
    beside = path.with_suffix(".part.npz")
    np.savez(beside, photo=photo, top=places[:, 0], left=places[:, 1], kept=kept, scores=scores)
    os.replace(beside, path)


def _named(one: Scored, root: Path, facts: dict[str, Any]) -> dict[str, Any]:
    path = one.photo.path.relative_to(root).as_posix()
    return {"path": path, "shrink": one.photo.shrink} | facts


def _all(
    work: Callable[[T], R],
    items: Sequence[T],
    jobs: int,
    what: str,
    report: Report,
    done: Callable[[T], None] = lambda item: None,
) -> list[R]:
    """The results of `work` on every item, in their order, by `jobs` threads; `done` follows
    each in that order. The first error ends it."""
    results: list[R] = []
    # Closed on an error, the iterator cancels what has not begun.
    with _pool(jobs) as pool, closing(pool.map(work, items)) as finished:  # type: ignore[type-var]
        for item, result in zip(items, finished, strict=True):
            done(item)
            results.append(result)
            report(what, len(results), len(items))
    return results


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads in each of which torch computes alone: it is they that share the cores."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn the disk's refusal into one line."""
    try:
        yield
    except OSError as error:
        raise RecipeError(
            f"{out}: cannot write there ({error.strerror}); once that is mended, the same "
            "command goes on from here"
        ) from None
