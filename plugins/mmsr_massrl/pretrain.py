"""The pretraining loop: views, the BYOL loss, LARS, the target; resumable at any checkpoint."""

import math
from pathlib import Path
from typing import Any

import lightning_fabric as lf
import numpy as np
import torch
from tensorboardX import SummaryWriter

import mmsr_core
from mmsr_core.errors import RecipeError
from mmsr_core.plugin.components import PictureSource, Report
from mmsr_massrl.axes import fit_axes
from mmsr_massrl.byol import Byol, kept, learning_rate
from mmsr_massrl.encoder import Encoder, save_encoder
from mmsr_massrl.job import (
    CHECKPOINT,
    Job,
    batches,
    check_free,
    is_finished,
    read_checkpoint,
    save_checkpoint,
    take_folder,
    write_json,
)
from mmsr_massrl.lars import Lars, parameter_groups
from mmsr_massrl.settings import Precision, Settings
from mmsr_massrl.stopwatch import Stopwatch
from mmsr_massrl.views import make_views, send

RECORD = "pretraining.json"
TELL_EVERY = 20
"""Steps between two reports."""
DESCRIBED = 4096
"""Images that the principal axes of the features are fitted to."""
COLLAPSED = 0.2
"""Spread of the embeddings under which an encoder has learned next to nothing."""


def pretrain(
    open_pictures: PictureSource,
    out: Path,
    report: Report,
    settings: Settings,
    seed: int,
    resume: bool,
    device: str,
) -> None:
    """Train an encoder and write it to `out`; checkpoints and curves lie in `out`.run.

    A batch and its views depend on (seed, step) alone, so that a resumed run does what an
    unbroken one would have done. RecipeError when the images are too few or too small, when
    `out` exists or a run of other settings is there, or the loss stops being a number.
    """
    folder = out.with_name(f"{out.name}.run")
    policy = settings.policies()
    if resume and is_finished(out, settings, seed):
        report(f"{out}: is finished already; nothing to do", 0, 0)
        return
    check_free(out, folder, resume)
    assert settings.side is not None
    assert settings.cut is not None
    pictures = open_pictures(settings.side, settings.cut)
    if len(pictures) < settings.batch:
        raise RecipeError(
            f"{len(pictures)} images are too few for a batch of {settings.batch}; "
            "give more images, or a smaller --batch"
        )
    if pictures.side < settings.side:
        raise RecipeError(
            f"images of {pictures.side} pixels are smaller than a view of {settings.side}; "
            f"add --side {pictures.side} or less"
        )
    job = Job(settings, policy, pictures, settings.side, seed, folder)
    fabric = make_fabric(device, settings.precision)
    take_folder(job)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, facts = _train(job, fabric, report)
    note = f"{len(pictures)} images of {pictures.side} pixels: {pictures.note}"
    save_encoder(out, encoder, note, facts)
    write_json(folder / RECORD, facts)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def make_fabric(device: str, precision: Precision) -> lf.Fabric:
    """One device, "auto", "cpu" or "cuda"; RecipeError when it is not there."""
    try:
        return lf.Fabric(accelerator=device, devices=1, precision=precision)
    except Exception as error:  # Lightning has an exception of its own for a missing device
        raise RecipeError(f"device {device}: {' '.join(str(error).split())}") from None


def _train(job: Job, fabric: lf.Fabric, report: Report) -> tuple[Encoder, dict[str, Any]]:
    settings, steps = job.settings, job.steps
    warm = settings.warm(len(job.pictures))
    peak = settings.rate * settings.batch / 256
    assert settings.hidden is not None
    byol = Byol(Encoder(settings.config()), settings.hidden, settings.projected)
    byol = byol.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lars = Lars(parameter_groups(byol), peak, settings.decay, trust=settings.trust)
    model, optimizer = fabric.setup(byol, lars)
    watch = Stopwatch(fabric.device)
    first = 0
    loss = spread = torch.tensor(math.nan)
    state = read_checkpoint(job.folder, fabric.device)
    if state is not None:
        byol.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        fabric.strategy.precision.load_state_dict(state["precision"])
        first = state["step"]
        loss, spread = torch.tensor(state["loss"]), torch.tensor(state["spread"])
        watch.add(**state["times"])
        report(f"goes on from step {first}", 0, 0)
    writer = SummaryWriter(str(job.folder / "logs"), purge_step=first or None)
    model.train()
    for step, stored in batches(job, first, watch):
        with watch.augmenting():
            there = send(stored, fabric.device)
            views = make_views(there, job.policy, settings.views, job.side, job.draws(step))
            views = [view.contiguous(memory_format=torch.channels_last) for view in views]
        rate = learning_rate(step, steps, warm, peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss, spread = model(views)
        fabric.backward(loss)
        optimizer.step()
        keep = kept(step, steps, settings.tau)
        byol.follow(keep)
        done = step + 1
        if done % TELL_EVERY == 0 or done == steps:
            for name, value in (
                ("loss", loss.item()),
                ("spread", spread.item()),
                ("rate", rate),
                ("tau", keep),
            ):
                writer.add_scalar(name, value, done)
            report(f"pretraining: loss {loss.item():.4f}, spread {spread.item():.2f}", done, steps)
        if done % settings.save_every == 0 or done == steps:
            if not math.isfinite(loss.item()):
                raise RecipeError(f"the loss is {loss.item()} at step {done}; lower the rate")
            state = {
                "step": done,
                "loss": loss.item(),
                "spread": spread.item(),
                "times": watch.seconds(),
                "model": byol.state_dict(),
                "optimizer": optimizer.state_dict(),
                "precision": fabric.strategy.precision.state_dict(),
            }
            save_checkpoint(job.folder, state)
    writer.close()
    if spread.item() < COLLAPSED:
        report(
            f"the embeddings have collapsed (spread {spread.item():.2f}, 1 is none): "
            "a longer warm-up or a lower rate may help",
            0,
            0,
        )
    facts = {
        "mmsr": mmsr_core.__version__,
        "settings": settings.essence(),
        "policy": job.policy.model_dump(mode="json", exclude_none=True),
        "seed": job.seed,
        "images": len(job.pictures),
        "steps": steps,
        "loss": loss.item(),
        "spread": spread.item(),
        "device": str(fabric.device),
        "seconds": watch.seconds(),
        "images_per_second": steps * settings.batch / watch.seconds()["total"],
    }
    _describe(fabric, byol.encoder.eval(), job)
    return byol.encoder.cpu(), facts


@torch.inference_mode()
def _describe(fabric: lf.Fabric, encoder: Encoder, job: Job) -> None:
    """Fit the principal axes of the features to the middles of some of the images."""
    count = min(DESCRIBED, len(job.pictures))
    rows = np.sort(np.random.default_rng((job.seed, 2)).permutation(len(job.pictures))[:count])
    start = (job.pictures.side - job.side) // 2 if job.settings.cut else 0
    side = job.side if job.settings.cut else job.pictures.side
    embeddings = []
    for part in np.array_split(rows, max(1, count // 128)):
        stored = fabric.to_device(torch.from_numpy(job.pictures.read(part)))
        images = stored.permute(0, 3, 1, 2).float() / 255
        embeddings.append(encoder(images[..., start : start + side, start : start + side]))
    fit_axes(encoder, torch.cat(embeddings))
