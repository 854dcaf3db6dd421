"""Training a codec's recipe, stage by stage: weights, tables, qualities."""

import logging
import platform
import time
from functools import partial
from pathlib import Path
from typing import Any

import lightning_fabric as lf
import torch
from torch import nn

from mmsr_core.draft import CodecDraft
from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime.codec.entropy import Models
from mmsr_core.runtime.codec.learn import learn_tables, write_tables
from mmsr_core.train.codec.fit import fit
from mmsr_core.train.codec.measure import code_maps, measure_qualities
from mmsr_core.train.codec.photographs import find_photographs, load_photographs
from mmsr_core.train.codec.recipe import CodecRecipe
from mmsr_core.train.codec.run import CodecRun
from mmsr_core.train.data import Bytes, Report
from mmsr_core.train.nodes.claim import Claim


def train_codec(
    recipe: CodecRecipe,
    images: Path,
    out: Path,
    catalog: Catalog,
    report: Report,
    resume: bool = False,
) -> CodecRun:
    """Train a codec on the photographs under `images` into the run directory `out`.

    Everything that can be wrong with the request is checked before the first photograph is read.
    `resume` continues an interrupted run from its last checkpoint. The entropy coder's tables are
    learnt from the photographs learnt from, the qualities measured on those held back.
    """
    recipe.check(catalog)
    module = CodecRun(out, recipe).initial(catalog)  # a bad value of an option shows now
    smallest = int(module.smallest)  # type: ignore[arg-type]
    if recipe.training.patch < smallest:
        raise RecipeError(
            f"training.patch is {recipe.training.patch}; {recipe.codec.name} learns from "
            f"{smallest} pixels or more"
        )
    find_photographs(recipe, images)
    run = CodecRun.create(out, recipe, resume)
    photographs = load_photographs(recipe, images, report)
    if not run.is_fitted:
        _fit(run, module, photographs.learnt, report)
    fabric = lf.Fabric(accelerator="auto", devices=1)
    trained: Any = fabric.to_device(run.trained(catalog))
    maps = code_maps(trained, photographs.learnt, fabric.device, report)
    tables = write_tables(learn_tables(maps, trained.rounding, partial(report, "tables")))
    run.save_tables(tables)
    models = Models.read(tables, trained.channels, str(run.directory))
    qualities = measure_qualities(trained, photographs.held, models, fabric.device, report)
    run.save_scores({"photographs": len(photographs.held), "qualities": qualities})
    return run


def _fit(run: CodecRun, module: nn.Module, photographs: tuple[Bytes, ...], report: Report) -> None:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it names its precision
    started, settings = time.time(), run.recipe.training
    claim = Claim.take(run.directory)
    fabric = lf.Fabric(accelerator="auto", devices=1, precision=settings.precision)
    fitted = fit(fabric, module, photographs, settings, run.recipe.seed, claim, report)
    claim.check()
    device = fabric.device
    run.save_weights(
        fitted.module,
        {
            "codec": run.recipe.codec.name,
            "options": run.recipe.codec.options,
            "photographs": len(photographs),
            "pixels": sum(one.shape[0] * one.shape[1] for one in photographs),
            "steps": fitted.steps,
            "batch": settings.batch,
            "patch": settings.patch,
            "parameters": sum(p.numel() for p in fitted.module.parameters()),
            "seconds": round(fitted.seconds, 3),
            "waited": round(fitted.waited, 3),
            "loss": fitted.loss,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "node": platform.node(),
            "started": round(started, 3),
            "ended": round(time.time(), 3),
        },
    )


def make_codec_draft(run: CodecRun, catalog: Catalog) -> CodecDraft:
    """Everything an exporter needs of a finished run; RecipeError when it isn't finished."""
    recipe, scores = run.recipe, run.scores()
    module: Any = run.trained(catalog)
    return CodecDraft(
        name=recipe.name,
        version=recipe.version,
        codec=recipe.codec.name,
        encoder=module.encoder,
        decoder=module.decoder,
        encoder_radius=module.encoder_radius,
        decoder_radius=module.decoder_radius,
        channels=module.channels,
        tables=run.tables(),
        qualities=tuple(scores["qualities"]),
        made={
            "recipe": recipe.model_dump(mode="json"),
            "data": [
                {"folder": s.folder, "source": s.source, "licence": s.licence} for s in recipe.data
            ],
            "scores": {"photographs": scores["photographs"]},
        },
    )
