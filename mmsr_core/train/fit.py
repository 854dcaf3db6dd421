"""The training loop of one expert."""

import math
import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning_fabric as lf
import numpy as np
import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Pair, Report, sample
from mmsr_core.train.recipe import Fit


def learning_rate(step: int, settings: Fit) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * done))


def fit(
    module: nn.Module,
    pairs: Sequence[Pair],
    scale: int,
    settings: Fit,
    seed: int,
    checkpoint: Path,
    report: Report,
) -> nn.Module:
    """Train `module` to upscale, from `checkpoint` when it exists; returns the EMA, in eval mode.

    Every step draws its batch from (seed, step) alone, so a resumed run sees the batches that
    an unbroken one would have seen. Photographs smaller than a patch are left out. RecipeError
    when that leaves none, or when the loss stops being a number.
    """
    fabric = lf.Fabric(accelerator="auto", devices=1, precision=settings.precision)
    large = [pair for pair in pairs if min(pair.lr.shape[:2]) >= settings.patch]
    if not large:
        raise RecipeError(f"no photograph is as large as a patch of {settings.patch} LR pixels")
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = fabric.to_device(deepcopy(module).requires_grad_(False))
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    model, optimizer = fabric.setup(module, optimizer)
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        module.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model.train()
    for step in range(first, settings.steps):
        rng = np.random.default_rng((seed, step))
        lr, hr = sample(large, settings.patch, settings.batch, scale, rng)
        lr = fabric.to_device(lr.contiguous(memory_format=torch.channels_last))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        loss = nn.functional.l1_loss(model(lr), fabric.to_device(hr))
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        # Early on the average forgets fast, so that it is not weighed down by the first weights.
        keep = min(settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, value in zip(ema.parameters(), module.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
            for held, current in zip(ema.buffers(), module.buffers(), strict=True):
                held.copy_(current)
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            if not math.isfinite(loss.item()):
                raise RecipeError(f"the loss is {loss.item()} at step {done}; lower the rate")
            _save(checkpoint, done, module, ema, optimizer)
        if done % 20 == 0 or done == settings.steps:
            report(f"loss {loss.item():.4f}", done, settings.steps)
    return ema.cpu().eval()


def _save(path: Path, step: int, model: nn.Module, ema: nn.Module, optimizer: Any) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "ema": ema.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    os.replace(beside, path)
