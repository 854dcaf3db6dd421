"""A codec's training loop."""

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import lightning_fabric as lf
import torch
from tensorboardX import SummaryWriter
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.train.codec.photographs import Patches
from mmsr_core.train.codec.recipe import CodecFit
from mmsr_core.train.data import Bytes, Report
from mmsr_core.train.fit import CHECKPOINT, TELL_EVERY, average_into
from mmsr_core.train.nodes.claim import Claim


@dataclass(frozen=True)
class Fitted:
    """A trained codec, its EMA weights in eval mode on the CPU, and what training took."""

    module: nn.Module
    steps: int
    seconds: float
    """Of the loop, over all resumed runs."""
    waited: float
    """Seconds of them in which the device stood still for data."""
    loss: float


def fit(
    fabric: lf.Fabric,
    module: nn.Module,
    photographs: Sequence[Bytes],
    settings: CodecFit,
    seed: int,
    claim: Claim,
    report: Report,
) -> Fitted:
    """Lower the loss that `module` gives, from the claimed folder's checkpoint when there is one.

    A step depends on the seed, its number and the weights alone, its random roundings included,
    so a resumed run ends where an unbroken one would have. Curves for TensorBoard lie beside the
    checkpoint. RecipeError when the loss stops being a number, or the claim is lost.
    """
    last = settings.length(len(photographs), settings.batch)
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = fabric.to_device(deepcopy(module).requires_grad_(False))
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.rate)
    model, optimizer = fabric.setup(module, optimizer)
    first, seconds, waited, loss = 0, 0.0, 0.0, torch.tensor(math.nan)
    checkpoint = claim.folder / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        module.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        fabric.strategy.precision.load_state_dict(state["precision"])
        first, seconds, waited = state["step"], state["seconds"], state["waited"]
        loss = torch.tensor(state["loss"])
        if first < last:
            report(f"goes on from step {first}", 0, 0)
    patches = Patches(photographs, settings.batch, settings.patch, seed, first, last)
    writer = SummaryWriter(str(claim.folder / "logs"), purge_step=first or None)
    model.train()
    started = time.perf_counter()
    for step, images in patches:
        rate = learning_rate(step, last, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(seed * 1_000_003 + step)
        optimizer.zero_grad()
        loss = model(fabric.to_device(images.contiguous(memory_format=torch.channels_last)))
        fabric.backward(loss)
        if settings.clip:
            fabric.clip_gradients(
                model, optimizer, max_norm=settings.clip, error_if_nonfinite=False
            )
        optimizer.step()
        average_into(ema, module, step, settings.ema)
        done = step + 1
        if done % settings.save_every == 0 or done == last:
            if not math.isfinite(loss.item()):
                raise RecipeError(f"the loss is {loss.item()} at step {done}; lower the rate")
            state = {
                "step": done,
                "seconds": seconds + time.perf_counter() - started,
                "waited": waited + patches.waited,
                "loss": loss.item(),
                "model": module.state_dict(),
                "ema": ema.state_dict(),
                "optimizer": optimizer.state_dict(),
                "precision": fabric.strategy.precision.state_dict(),
            }
            claim.save(CHECKPOINT, state)
        if done % TELL_EVERY == 0 or done == last:
            writer.add_scalar("loss", loss.item(), done)
            writer.add_scalar("rate", rate, done)
            report(f"codec: loss {loss.item():.4f}", done, last)
    writer.close()
    return Fitted(
        module=ema.cpu().eval(),
        steps=last,
        seconds=seconds + time.perf_counter() - started,
        waited=waited + patches.waited,
        loss=loss.item(),
    )


def learning_rate(step: int, last: int, settings: CodecFit) -> float:
    """A linear warm-up, then a rate that is held, then a line to zero."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    falls = settings.hold * last
    return settings.rate * min(1.0, (last - step) / max(1.0, last - falls))
