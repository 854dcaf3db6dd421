"""Training a recipe, stage by stage: experts, measured routes, router, scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from mmsr_core.draft import Draft, ExpertDraft, FuserDraft, RouterDraft
from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.components import RouterData
from mmsr_core.plugin.stages import apply
from mmsr_core.train.data import SPLITS, Pair, Photos, Report, find_photos, load_photos
from mmsr_core.train.depths import Beside, depth_table, with_experts, without_experts
from mmsr_core.train.eightbit import Quantize, expert_modules, make_eight_bit
from mmsr_core.train.experts import train_experts, unfinished
from mmsr_core.train.material import Material, band_extractor, band_of, stored_material
from mmsr_core.train.measure import Routes, count_macs, measure_routes
from mmsr_core.train.recipe import Recipe
from mmsr_core.train.run import Run, building
from mmsr_core.train.scores import scores
from mmsr_core.train.tables import Expert

Elsewhere = Callable[[Run, Catalog, Path, Report], None]
"""Trains a run's unfinished experts on other machines, which see the run and the images too."""


def train(
    recipe: Recipe,
    images: Path,
    out: Path,
    catalog: Catalog,
    report: Report,
    resume: bool = False,
    elsewhere: Elsewhere | None = None,
    quantize: Quantize | None = None,
) -> Run:
    """Train a whole recipe on the photographs under `images` into the run directory `out`.

    Everything that can be wrong with the request is checked before the first photograph is
    read. `resume` continues an interrupted run, expert by expert, from its last checkpoints.
    `elsewhere` trains the experts in place of this process; `quantize` makes the 8-bit ones.
    """
    recipe.check(catalog)
    # Built once for nothing: a bad value of an option shows now, not after hours.
    planned = Run(out, recipe)
    for expert in recipe.wrapped:
        planned.given(expert)
    for expert in recipe.exact:
        planned.build(expert, catalog)
        planned.discriminator(expert, catalog)
    build_extractor(recipe, catalog)
    build_fusers(recipe, catalog)
    find_photos(recipe, images)
    learning = unfinished(planned, catalog)
    for expert in learning:
        planned.initial(expert, catalog)
    stored = stored_material(recipe, images, catalog) if learning and recipe.stored else None
    if stored is not None:
        for expert in learning:
            stored.of(expert)  # a class without tiles shows now, and makes no run
    run = Run.create(out, recipe, resume)
    here = bool(learning) and elsewhere is None
    splits = SPLITS if here and stored is None else ("router", "test")
    photos = load_photos(recipe, images, report, splits)
    if stored is not None and stored.banded is not None:
        run.save_bands(stored.banded.thresholds)
    if here:
        train_experts(run, catalog, stored or Material(recipe, images, photos.experts), report)
    elif learning and elsewhere is not None:
        elsewhere(run, catalog, images, report)
    make_eight_bit(run, images, catalog, quantize, report)
    train_router(run, catalog, photos, report)
    return run


def train_router(run: Run, catalog: Catalog, photos: Photos, report: Report) -> None:
    """Measure every route on the router and test splits, fit the classifier, write the scores."""
    recipe = run.recipe
    data = _measure(
        run,
        catalog,
        photos.router,
        routes_of(recipe),
        build_extractor(recipe, catalog),
        partial(report, "measuring the router split"),
    )
    test = _measure_test(run, catalog, photos.test, partial(report, "measuring the test split"))
    output = catalog.classifier(recipe.router.classifier.name).output
    predictions = apply(fit_classifier(recipe, catalog, data), test.features)
    run.save_scores(scores(recipe, output, test, predictions))
    run.save_router_data(data)


def fit_classifier(recipe: Recipe, catalog: Catalog, data: RouterData) -> tuple[Any, ...]:
    """The recipe's classifier on measured data; the same data and seed give the same stages."""
    choice = recipe.router.classifier
    classifier = catalog.classifier(choice.name)
    with building(f"router.classifier: {choice.name}"):
        return classifier.fit(data, seed=recipe.seed, **choice.options)


def out_of_fold(recipe: Recipe, catalog: Catalog, data: RouterData) -> npt.NDArray[np.float64]:
    """What classifiers that did not see a photograph say of its cells, (n,c) or (n,r)."""
    # Ranks, not numbers: the split drew its photographs at random, folds have to be even.
    _, rank = np.unique(data.photos[data.images], return_inverse=True)
    fold = rank % recipe.router.folds
    predictions: npt.NDArray[np.float64] | None = None
    for index in np.unique(fold):
        seen, unseen = fold != index, fold == index
        if not seen.any():
            seen = unseen  # a single photograph: nothing to hold out
        part = replace(
            data,
            features=data.features[seen],
            errors=data.errors[seen],
            labels=data.labels[seen],
            images=data.images[seen],
        )
        answer = apply(fit_classifier(recipe, catalog, part), data.features[unseen])
        if predictions is None:
            predictions = np.zeros((len(fold), answer.shape[1]))
        predictions[unseen] = answer
    assert predictions is not None
    return predictions


def _measure_test(
    run: Run, catalog: Catalog, pairs: Sequence[Pair], report: Callable[[int, int], None]
) -> RouterData:
    """Measure the test split, and keep the depth table: every expert alone, by class of tile.

    The classes are the recipe's bands, or else those of the measured labels.
    """
    recipe = run.recipe
    extractor = build_extractor(recipe, catalog)
    width = len(extractor.names)  # type: ignore[arg-type]
    if recipe.bands is not None:
        extractor = Beside(extractor, band_extractor(recipe.bands, catalog))
    routes = with_experts(routes_of(recipe), [expert.name for expert in recipe.experts])
    data = _measure(run, catalog, pairs, routes, extractor, report)
    test = without_experts(data, width, recipe.router.epsilon)
    labels = test.labels
    if recipe.bands is not None:
        labels = band_of(data.features[:, width], run.bands())
    run.save_depths(depth_table(data, labels, test.classes))
    return test


def _measure(
    run: Run,
    catalog: Catalog,
    pairs: Sequence[Pair],
    routes: Routes,
    extractor: nn.Module,
    report: Callable[[int, int], None],
) -> RouterData:
    recipe = run.recipe
    return measure_routes(
        pairs,
        expert_modules(run, catalog),
        {fuser.name: fuser.module for fuser in build_fusers(recipe, catalog)},
        routes,
        extractor,
        recipe.tiles.cell,
        recipe.router.epsilon,
        report,
    )


def routes_of(recipe: Recipe) -> Routes:
    """class → names of its experts, name of its fuser."""
    return {label: (route.experts, route.fuser) for label, route in recipe.routes.items()}


def build_extractor(recipe: Recipe, catalog: Catalog) -> nn.Module:
    """The recipe's extractor, or its several side by side, in eval mode."""
    modules = []
    for where, table in recipe.router.extractors:
        with building(f"{where}: {table.name}"):
            modules.append(catalog.extractor(table.name).build(**table.options).eval())
    return modules[0] if len(modules) == 1 else Beside(*modules).eval()


def build_fusers(recipe: Recipe, catalog: Catalog) -> tuple[FuserDraft, ...]:
    """The fusers that the recipe's routes name, each once."""
    found = {}
    for label, route in recipe.routes.items():
        if route.fuser is not None and route.fuser not in found:
            fuser = catalog.fuser(route.fuser)
            with building(f"routes.{label}: {route.fuser}"):
                module = fuser.build(scale=recipe.scale, **route.options).eval()
            found[route.fuser] = FuserDraft(name=fuser.name, radius=fuser.radius, module=module)
    return tuple(found.values())


def _draft_expert(run: Run, expert: Expert, catalog: Catalog) -> ExpertDraft:
    source = run.recipe.source_of(expert)
    if source.wraps is not None:
        draft = run.given(source).draft(expert.name)
        if expert == source:
            return draft
        return replace(draft, graph=run.read_graph(expert), exact=source.name)
    module = run.trained(source, catalog)
    eight_bit = expert.quantize is not None
    return ExpertDraft(
        name=expert.name,
        backbone=source.backbone,
        depth=source.depth,
        radius=catalog.backbone(source.backbone).radius(source.depth),
        macs=count_macs(module),
        module=None if eight_bit else module,
        graph=run.read_graph(expert) if eight_bit else None,
        exact=expert.quantize,
    )


def make_draft(run: Run, catalog: Catalog) -> Draft:
    """Everything an exporter needs of a finished run; RecipeError when it isn't finished."""
    recipe = run.recipe
    data = run.router_data()
    experts = tuple(_draft_expert(run, expert, catalog) for expert in recipe.experts)
    extractor = build_extractor(recipe, catalog)
    names: Any = extractor.names
    if tuple(names) != data.names:
        raise RecipeError(
            f"{run.directory}: its router learned from {', '.join(data.names[:3])} …, and the "
            f"extractor now gives {', '.join(names[:3])} …; train it again with --resume"
        )
    return Draft(
        name=recipe.name,
        version=recipe.version,
        scale=recipe.scale,
        classes=tuple(recipe.routes),
        routes=dict(routes_of(recipe)),
        experts=experts,
        fusers=build_fusers(recipe, catalog),
        router=RouterDraft(
            extractor=extractor,
            feature_names=data.names,
            stages=fit_classifier(recipe, catalog, data),
            output=catalog.classifier(recipe.router.classifier.name).output,
            calibration=data,
            predictions=out_of_fold(recipe, catalog, data),
        ),
        cell=recipe.tiles.cell,
        halo=recipe.tiles.halo,
        seam=recipe.tiles.seam,
        tolerance=recipe.router.tolerance,
        made={
            "recipe": recipe.model_dump(mode="json"),
            "data": [
                {"folder": s.folder, "source": s.source, "licence": s.licence} for s in recipe.data
            ],
            "scores": run.scores(),
        },
    )
