"""Upscalers made elsewhere as a run: measured, their router fitted, no network trained."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.draft import Draft, GivenExpert
from mmsr_core.errors import BundleError, ExportError, RecipeError
from mmsr_core.measure.oracle import Oracle, Scene, find_oracle
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime import image
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.plan import costs_of, make_plan, penalties, price
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.data import Report, find_photos, load_pair, load_photos
from mmsr_core.train.eightbit import seen_images
from mmsr_core.train.graph import EIGHT_BIT
from mmsr_core.train.recipe import Recipe, parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import train_router

FLOOR = "bicubic"
"""The backbone that is below all others; nothing has to be trained for it."""
CROP = 1024
"""HR pixels a side that are measured of each photograph: minutes, whatever the camera."""
Floats = npt.NDArray[np.float32]
Quantize = Callable[[GivenExpert, Sequence[Floats]], bytes]
"""quantize(expert, LR images (1,3,h,w)): the 8-bit form of its graph. An exporter has one."""
HALO = 8
"""LR pixels: no less, whatever the experts need."""
SPLIT = {"experts": 0, "router": 0.85, "test": 0.15}
FEATURES = (
    *("etvat_g", "edge_score", "limited_edge_score", "edge_max", "residual2", "residual4"),
    *("oriented", "unoriented", "oriented_max", "coherence", "laplacian_energy", "laplacian_max"),
    *("laplacian_peaks", "contrast"),
)
"""Of the extractor `texture`, as in the recipes of the models that mmsr ships."""


def wrap(
    experts: Sequence[GivenExpert],
    images: Path,
    out: Path,
    name: str | None,
    catalog: Catalog,
    report: Report,
    quantize: Quantize,
) -> Run:
    """Make the run directory `out` of upscalers made elsewhere, with bicubic below them.

    Each that can gets an 8-bit form by `quantize`, a rung of its own. All errors are measured on
    the photographs under `images`, and a router is fitted to them; the directory appears whole or
    not at all. `name` is the bundle's, by default after the directory. RecipeError when the
    experts' scales differ, when there are too few photographs, or when `out` can't be made.
    """
    check_request(images, out)
    called = name or bundle_name(out, experts[0].scale)
    recipe, given = _recipe(experts, {}, images, called, catalog)
    recipe.check(catalog)
    seen = seen_images(recipe, images)
    forms = dict(_forms(experts, seen, quantize, report))
    recipe, given = _recipe(experts, forms, images, called, catalog)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise RecipeError(f"{out}: cannot write there ({error.strerror})") from None
    try:
        run = Run.create(work, recipe, resume=False)
        for expert in recipe.wrapped:
            run.save_given(expert, given[expert.name])
        for expert in recipe.experts:
            if expert.quantize is not None:
                run.save_graph(expert, forms[given[expert.quantize]])
        train_router(run, catalog, load_photos(recipe, images, report), report)
        work.chmod(0o755)
        if out.exists():
            out.rmdir()
        work.rename(out)
    except OSError as error:
        raise RecipeError(f"{out}: cannot write there ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Run(out, recipe)


def check_request(images: Path, out: Path) -> None:
    """MmsrError when `out` is in use or `images` holds none: before any network is looked at."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecipeError(f"{out}: exists already; remove it, or choose another --out")
    image.find_images(images)


def saving(draft: Draft, manifest: Manifest) -> Oracle:
    """What a bundle made of `draft` saves at its default effort, beside the oracle; computed.

    Of the photographs that errors were measured on, each planned by a router that has not seen it.
    """
    data, costs = draft.router.calibration, costs_of(manifest, draft.halo + draft.seam)
    effort = manifest.effort.default
    scenes, plans = [], []
    for index, (height, width) in enumerate(data.shapes):
        mine = data.images == index
        grid = Grid(int(height), int(width), draft.cell)
        scenes.append(Scene(grid, data.errors[mine] * grid.areas[:, None] / grid.areas.sum()))
        predicted = draft.router.predictions[mine]
        wanted = penalties(predicted, draft.router.output, effort, costs, grid.areas)
        plans.append(make_plan(wanted, grid, costs, price(effort, manifest.effort)))
    return find_oracle(scenes, plans)


def write_held_back(run: Run, images: Path, folder: Path) -> None:
    """Write the photographs that the router has not learned from into `folder`, as PNG."""
    for number, photo in enumerate(find_photos(run.recipe, images)["test"]):
        pair = load_pair(photo, run.recipe.scale)
        image.write(folder / f"{number}.png", image.Image(rgb=image.to_float(pair.hr)))


def bundle_name(out: Path, scale: int) -> str:
    """A name for the bundle of a run that lies at `out`."""
    return _name(out.resolve().name) + f"-x{scale}"


def _forms(
    experts: Sequence[GivenExpert], seen: Sequence[Floats], quantize: Quantize, report: Report
) -> Iterator[tuple[GivenExpert, bytes]]:
    """The 8-bit forms of those experts that have one."""
    for number, expert in enumerate(experts, 1):
        try:
            yield expert, quantize(expert, seen)
        except (BundleError, ExportError) as error:
            report(f"{expert.file}: no 8-bit form ({error})", 0, 0)
        report("8-bit forms", number, len(experts))


def _recipe(
    experts: Sequence[GivenExpert],
    forms: Mapping[GivenExpert, bytes],
    images: Path,
    name: str,
    catalog: Catalog,
) -> tuple[Recipe, dict[str, GivenExpert]]:
    """The recipe of a run of these experts, in order of cost; and the experts by name."""
    scales = {expert.scale for expert in experts}
    if len(scales) > 1:
        each = ", ".join(f"{expert.file} by {expert.scale}" for expert in experts)
        raise RecipeError(f"the experts of one bundle enlarge alike, and these don't: {each}")
    scale = scales.pop()
    floor = [FLOOR] if scale in catalog.backbone(FLOOR).scales else []
    names = _distinct([*floor, *(_name(expert.file) for expert in experts)], "-")
    given = dict(zip(names[len(floor) :], experts, strict=True))
    smaller = _distinct([*names, *(f"{name}-int8" for name in given)], "-")[len(names) :]
    rungs = [(expert.macs, {"name": n, "wraps": expert.file}) for n, expert in given.items()]
    rungs += [
        (EIGHT_BIT * expert.macs, {"name": form, "quantize": n})
        for form, (n, expert) in zip(smaller, given.items(), strict=True)
        if expert in forms
    ]
    tables: list[dict[str, Any]] = [{"name": name, "backbone": name} for name in floor]
    tables += [table for _, table in sorted(rungs, key=lambda rung: rung[0])]
    called = [table["name"] for table in tables]
    classes = _distinct([re.sub("[^A-Z0-9]", "_", one.upper()) for one in called], "_")
    recipe = {
        "name": name,
        "scale": scale,
        "data": [{"folder": ".", "crop": CROP, "source": images.resolve().name}],
        "split": SPLIT,
        "tiles": {"halo": max(HALO, *(expert.halo for expert in experts))},
        "experts": tables,
        "router": {
            "extractor": {"name": "texture", "options": {"features": FEATURES}},
            "classifier": {"name": "forest-gain", "options": {"trees": 30, "depth": 10}},
        },
        "routes": dict(zip(classes, called, strict=True)),
    }
    return parse(recipe, "mmsr wrap"), given


def _name(file: str) -> str:
    """A file's name as an expert's."""
    plain = re.sub("[^a-z0-9._-]+", "-", Path(file).stem.lower()).strip("._-")[:24]
    return plain if plain[:1].isalpha() else f"x{plain}"


def _distinct(names: Iterable[str], joint: str) -> list[str]:
    """The names, those that are taken with a number behind."""
    found: list[str] = []
    for name in names:
        free, count = name, 1
        while free in found:
            count += 1
            free = f"{name}{joint}{count}"
        found.append(free)
    return found
