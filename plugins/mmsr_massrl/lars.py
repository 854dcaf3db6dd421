"""LARS: momentum whose step is, layer by layer, in proportion to the weights it changes."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Lars(Optimizer):
    """You et al., "Large Batch Training of Convolutional Networks", with BYOL's exclusions.

    For a weight w of gradient g: u = g + decay·w; u ← u · trust·‖w‖/‖u‖ where neither norm is 0;
    m ← momentum·m + u; w ← w − lr·m. A group with `plain` takes u = g: no decay, no adaptation.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        decay: float = 1.5e-6,
        momentum: float = 0.9,
        trust: float = 1e-3,
    ) -> None:
        defaults = {
            "lr": lr,
            "decay": decay,
            "momentum": momentum,
            "trust": trust,
            "plain": False,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step from the gradients there are; nothing waits for the device."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            updates = [weight.grad for weight in weights]
            if not group["plain"]:
                updates = _adapted(weights, updates, group["decay"], group["trust"])
            moments = []
            for weight in weights:
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                moments.append(state["momentum"])
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_add_(moments, updates)
            torch._foreach_add_(weights, moments, alpha=-group["lr"])


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """A module's trainable weights in two groups; biases and norms are excluded from the decay
    and the adaptation (section 4.1)."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in trained if weight.ndim > 1]},
        {"params": [weight for weight in trained if weight.ndim <= 1], "plain": True},
    ]


def _adapted(
    weights: list[Tensor], gradients: list[Tensor], decay: float, trust: float
) -> list[Tensor]:
    updates = torch._foreach_add(gradients, weights, alpha=decay)
    lengths, steps = torch._foreach_norm(weights), torch._foreach_norm(updates)
    ratios = [
        torch.where((length > 0) & (step > 0), trust * length / step, 1.0)
        for length, step in zip(lengths, steps, strict=True)
    ]
    return list(torch._foreach_mul(updates, ratios))
