"""The training loop of one expert: a pixel phase, then for adversarial backbones a GAN phase."""

import math
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import lightning_fabric as lf
import torch
from tensorboardX import SummaryWriter
from torch import Tensor, nn

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Report
from mmsr_core.train.gan.match import Adversary, Match
from mmsr_core.train.nodes.claim import Claim
from mmsr_core.train.settings import Fit
from mmsr_core.train.sources import Batches, Tiles

CHECKPOINT = "checkpoint.pt"
TELL_EVERY = 20
"""Steps between two reports."""
LOSSES = {"l1": nn.functional.l1_loss, "l2": nn.functional.mse_loss}


@dataclass(frozen=True)
class Fitted:
    """A trained network, its EMA weights in eval mode on the CPU, and what training took."""

    module: nn.Module
    steps: int
    adversarial_steps: int
    seconds: float
    """Of the loop, over all resumed runs."""
    waited: float
    """Seconds of them in which the device stood still for data."""
    loss: float


def fit(
    fabric: lf.Fabric,
    module: nn.Module,
    tiles: Tiles,
    settings: Fit,
    seed: int,
    claim: Claim,
    report: Report,
    adversary: Adversary | None = None,
) -> Fitted:
    """Train `module` to upscale, from the claimed folder's checkpoint when there is one.

    A batch depends on (seed, step) alone, so a resumed run sees the batches that an unbroken one
    would have seen, and of several devices each takes its share of the same batch. Curves for
    TensorBoard lie beside the checkpoint. RecipeError when the loss stops being a number,
    or the claim is lost.
    """
    pixel_steps = settings.length(tiles.count, settings.batch)
    gan_steps = settings.adversarial.length(tiles.count, settings.batch) if adversary else 0
    last = pixel_steps + gan_steps
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = fabric.to_device(deepcopy(module).requires_grad_(False))
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    model, optimizer = fabric.setup(module, optimizer)
    match = Match(fabric, adversary, settings.adversarial) if adversary and gan_steps else None
    first, seconds, waited, loss = 0, 0.0, 0.0, torch.tensor(math.nan)
    checkpoint = claim.folder / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        module.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        fabric.strategy.precision.load_state_dict(state["precision"])
        if match is not None:
            match.load(state["match"])
        first, seconds, waited = state["step"], state["seconds"], state["waited"]
        loss = torch.tensor(state["loss"])
        if first < last:
            report(f"goes on from step {first}", 0, 0)
    batches = Batches(tiles, settings.batch, settings.patch, seed, first, last)
    writer = _writer(fabric, claim.folder, first)
    model.train()
    started = time.perf_counter()
    for step, lr, hr in batches:
        playing = step >= pixel_steps
        rate = learning_rate(step, pixel_steps, gan_steps, settings)
        answers, parts = [], _parts(fabric, lr, hr, settings.accumulate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        for index, (lr_part, hr_part) in enumerate(parts):
            with fabric.no_backward_sync(model, enabled=index < len(parts) - 1):
                sr = model(lr_part)
                if playing:
                    assert match is not None
                    loss = match.generator_loss(sr, hr_part)
                    answers.append(sr.detach())
                else:
                    loss = LOSSES[settings.loss](sr, hr_part)
                fabric.backward(loss / len(parts))
        optimizer.step()
        if playing:
            assert match is not None
            for group in match.optimizer.param_groups:
                group["lr"] = rate
            match.optimizer.zero_grad()
            for index, (sr, (_, hr_part)) in enumerate(zip(answers, parts, strict=True)):
                with fabric.no_backward_sync(match.discriminator, enabled=index < len(parts) - 1):
                    against = match.discriminator_loss(sr, hr_part)
                    fabric.backward(against / len(parts))
            match.optimizer.step()
        average_into(ema, module, step, settings.ema)
        done = step + 1
        if done % settings.save_every == 0 or done == last:
            if not math.isfinite(loss.item()):
                raise RecipeError(f"the loss is {loss.item()} at step {done}; lower the rate")
            if fabric.is_global_zero:
                state = {
                    "step": done,
                    "seconds": seconds + time.perf_counter() - started,
                    "waited": waited + batches.waited,
                    "loss": loss.item(),
                    "model": module.state_dict(),
                    "ema": ema.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "precision": fabric.strategy.precision.state_dict(),
                    "match": match.state() if match else None,
                }
                claim.save(CHECKPOINT, state)
            fabric.barrier()
        if done % TELL_EVERY == 0 or done == last:
            if writer is not None:
                writer.add_scalar("loss/generator" if playing else "loss/pixel", loss.item(), done)
                writer.add_scalar("rate", rate, done)
                if playing:
                    writer.add_scalar("loss/discriminator", against.item(), done)
            report(f"loss {loss.item():.4f}", done, last)
    if writer is not None:
        writer.close()
    return Fitted(
        module=ema.cpu().eval(),
        steps=pixel_steps,
        adversarial_steps=gan_steps,
        seconds=seconds + time.perf_counter() - started,
        waited=waited + batches.waited,
        loss=loss.item(),
    )


def learning_rate(step: int, pixel_steps: int, gan_steps: int, settings: Fit) -> float:
    """A linear warm-up, then a cosine to zero; the GAN phase has a cosine of its own."""
    if step >= pixel_steps:
        done = (step - pixel_steps) / max(1, gan_steps)
        return settings.adversarial.rate * 0.5 * (1 + math.cos(math.pi * done))
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, pixel_steps - settings.warmup)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * done))


def _parts(fabric: lf.Fabric, lr: Tensor, hr: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """This device's share of a batch, in so many parts."""
    mine = slice(fabric.global_rank, None, fabric.world_size)
    lr = fabric.to_device(lr[mine].contiguous(memory_format=torch.channels_last))
    hr = fabric.to_device(hr[mine])
    return list(zip(lr.chunk(count), hr.chunk(count), strict=True))


@torch.no_grad()
def average_into(ema: nn.Module, module: nn.Module, step: int, most: float) -> None:
    """Move the averaged weights towards the trained ones; buffers are taken as they are."""
    # Early on the average forgets fast, so that it is not weighed down by the first weights.
    keep = min(most, (1 + step) / (10 + step))
    for mean, value in zip(ema.parameters(), module.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)
    for held, current in zip(ema.buffers(), module.buffers(), strict=True):
        held.copy_(current)


def _writer(fabric: lf.Fabric, folder: Path, first: int) -> SummaryWriter | None:
    if not fabric.is_global_zero:
        return None
    return SummaryWriter(str(folder / "logs"), purge_step=first or None)
