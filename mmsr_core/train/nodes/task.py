"""What a node of a cluster does: it trains one expert of a run that it shares with the driver."""

import hashlib
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsr_core.errors import MmsrError, RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Report, SplitName, find_photos, load_photos
from mmsr_core.train.experts import train_expert
from mmsr_core.train.material import Material, stored_material
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.run import Run

TELL_AFTER = 0.5
"""Seconds between two reports."""


@dataclass(frozen=True)
class Order:
    """One expert to train. The paths are absolute, and the same on every node."""

    directory: Path
    """Of the run; a file of the name `marker` lies in it as long as the driver waits."""
    marker: str
    images: Path
    photos: str
    """What `fingerprint` says of the images on the driver's side."""
    expert: str
    catalog: Catalog
    threads: int
    """CPUs that the node sets aside for it."""
    start: Path | None = None
    """The run that the recipe starts from."""


def carry_out(packed: bytes, node: str, report: Report) -> str | None:
    """Train the expert of a pickled order; why it can't be done here, in one line, or None."""
    try:
        _carry_out(pickle.loads(packed), node, report)
    except MmsrError as error:
        return f"on node {node}: {error}"
    return None


def _carry_out(order: Order, node: str, report: Report) -> None:
    _check_shared(order)
    recipe = Run.open(order.directory).recipe
    run = Run(order.directory, recipe.model_copy(update={"start": order.start}))
    run.recipe.check(order.catalog)
    if fingerprint(run.recipe, order.images) != order.photos:
        raise RecipeError(
            f"{order.images} holds other photographs than on the machine that mmsr train was "
            "started on; put --images on a file system that all nodes share"
        )
    expert = next(expert for expert in run.recipe.experts if expert.name == order.expert)
    if run.is_trained(expert):
        return  # the node was lost after its work was done
    torch.set_num_threads(order.threads)
    report(f"{expert.name}: on node {node}", 0, 0)
    material = _material(run.recipe, order.images, order.catalog)
    train_expert(run, expert, order.catalog, material, _seldom(report), node)


def _check_shared(order: Order) -> None:
    shared = [
        ("--out", order.directory, order.directory / order.marker),
        ("--images", order.images, order.images),
    ]
    if order.start is not None:
        shared.append(("the recipe's start", order.start, order.start))
    for option, path, there in shared:
        if not there.exists():
            raise RecipeError(
                f"{path} is not what it is on the machine that mmsr train was started on; put "
                f"{option} on a file system that all nodes share"
            )


def fingerprint(recipe: Recipe, images: Path) -> str:
    """The photographs of every split, as one short text to compare."""
    return hashlib.sha256(repr(find_photos(recipe, images)).encode()).hexdigest()


def _material(recipe: Recipe, images: Path, catalog: Catalog) -> Material:
    if recipe.stored:
        return stored_material(recipe, images, catalog)
    split: SplitName = "experts"
    photos = load_photos(recipe, images, lambda what, done, total: None, (split,))
    return Material(recipe, images, photos.experts)


def _seldom(report: Report) -> Report:
    """Pass on every remark, and of the rest as much as anyone can read."""
    told = -TELL_AFTER

    def tell(what: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if not total or now - told >= TELL_AFTER:
            report(what, done, total)
            told = now if total else told

    return tell
