"""Training the experts of a run, one by one, each from its own tiles."""

import inspect
import logging
import platform
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning_fabric as lf
import torch

from mmsr_core.errors import DeviceError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Report
from mmsr_core.train.fit import Fitted, fit
from mmsr_core.train.gan.match import Adversary
from mmsr_core.train.gan.perceptual import load_features
from mmsr_core.train.material import Material
from mmsr_core.train.nodes.claim import Claim
from mmsr_core.train.nodes.ranks import launch
from mmsr_core.train.run import Run
from mmsr_core.train.sources import Stored, Tiles
from mmsr_core.train.tables import Expert


def unfinished(run: Run, catalog: Catalog) -> list[Expert]:
    """The experts that have something to learn and are not finished yet."""
    return [
        expert
        for expert in run.recipe.exact
        if catalog.backbone(expert.backbone).training != "fixed" and not run.is_trained(expert)
    ]


def train_experts(run: Run, catalog: Catalog, material: Material, report: Report) -> None:
    """Train every unfinished expert, in the recipe's order, on this machine."""
    asked = unfinished(run, catalog)
    for expert in asked:
        material.of(expert)  # a class without tiles shows now, not after hours
        check_devices(run, expert)
    for expert in asked:
        train_expert(run, expert, catalog, material, report)


def check_devices(run: Run, expert: Expert) -> None:
    """DeviceError when an expert asks for more GPUs than this machine has, if it has any."""
    asked, there = run.recipe.fit_of(expert).devices, torch.cuda.device_count()
    if 0 < there < asked:
        raise DeviceError(
            f"{expert.name}: asks for {asked} devices, and GPUs here number {there}; lower "
            "training.devices"
        )


@dataclass(frozen=True)
class Job:
    """All that a process needs to train one expert; it can be sent to another process."""

    run: Run
    expert: Expert
    catalog: Catalog
    tiles: Tiles
    images: Path
    claim: Claim
    node: str
    started: float
    """Unix seconds."""


def train_expert(
    run: Run,
    expert: Expert,
    catalog: Catalog,
    material: Material,
    report: Report,
    node: str | None = None,
) -> None:
    """Train one expert from its last checkpoint on, and keep its weights and its record.

    Of several devices each has a process of its own. `node` names this machine where its host
    name is not enough. RecipeError when another process takes the expert over.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it names its precision
    started, node = time.time(), node or platform.node()
    settings = run.recipe.fit_of(expert)
    claim = Claim.take(run.expert(expert), node)
    tiles = material.of(expert)
    work = partial(_train, Job(run, expert, catalog, tiles, material.images, claim, node, started))
    if settings.devices == 1:
        work(lf.Fabric(accelerator="auto", devices=1, precision=settings.precision), report)
    else:
        launch(work, settings.devices, settings.precision, report)


def _train(job: Job, fabric: lf.Fabric, report: Report) -> None:
    """One device's part; the first keeps what came of it."""
    run, expert = job.run, job.expert

    def tell(what: str, done: int, total: int) -> None:
        report(f"{expert.name}: {what}", done, total)

    fitted = fit(
        fabric,
        run.initial(expert, job.catalog),
        job.tiles,
        run.recipe.fit_of(expert),
        run.recipe.seed,
        job.claim,
        tell,
        _adversary(job, tell),
    )
    if fabric.is_global_zero:
        job.claim.check()
        run.save_record(expert, record(job, fitted, fabric.device))
        run.save_weights(expert, fitted.module)


def _adversary(job: Job, tell: Report) -> Adversary | None:
    module = job.run.discriminator(job.expert, job.catalog)
    if module is None:
        return None
    settings = job.run.recipe.fit_of(job.expert).adversarial
    features, reason = load_features(settings.features, job.catalog, job.images)
    if reason is not None:
        tell(reason, 0, 0)
    return Adversary(module, job.catalog.backbone(job.expert.backbone).game, features)


def _discriminator(job: Job) -> dict[str, Any]:
    """All options of the discriminator, those that the recipe leaves out as well."""
    build = job.catalog.backbone(job.expert.backbone).discriminator
    if build is None:
        return {}
    parameters = inspect.signature(build).parameters.values()
    return {one.name: one.default for one in parameters} | job.expert.discriminator


def record(job: Job, fitted: Fitted, device: torch.device) -> dict[str, Any]:
    """What training an expert took, for `mmsr report`.

    `seconds` are of all resumed runs, `started` and `ended` (unix seconds) of the last.
    """
    run, expert, tiles = job.run, job.expert, job.tiles
    settings = run.recipe.fit_of(expert)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    size = 3 * tiles.pixels * (1 + run.recipe.scale**2)
    return {
        "expert": expert.name,
        "backbone": expert.backbone,
        "depth": expert.depth,
        "options": expert.options,
        "discriminator": _discriminator(job),
        "classes": list(run.recipe.classes_of(expert)) or None,
        "tiles": tiles.count if isinstance(tiles, Stored) else None,
        "pixels": tiles.pixels,
        "bytes": size,
        "steps": fitted.steps,
        "adversarial_steps": fitted.adversarial_steps,
        "batch": settings.batch,
        "patch": settings.patch,
        "parameters": sum(p.numel() for p in fitted.module.parameters()),
        "seconds": round(fitted.seconds, 3),
        "waited": round(fitted.waited, 3),
        "loss": fitted.loss,
        "device": name,
        "devices": settings.devices,
        "node": job.node,
        "started": round(job.started, 3),
        "ended": round(time.time(), 3),
    }
