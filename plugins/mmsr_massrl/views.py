"""Views of a batch: crop, flip, and the operations that a policy draws, all on one device.

What is drawn is drawn on the CPU, so that a seed draws the same everywhere, and sent ahead: making
views never waits for the device.
"""

import torch
from torch import Tensor

from mmsr_massrl.crops import cut, cut_windows
from mmsr_massrl.ops import OPS
from mmsr_massrl.policies import Policy, View


def make_views(
    stored: Tensor, policy: Policy, count: int, side: int, draws: torch.Generator
) -> list[Tensor]:
    """Images (n,s,s,3) of 8 bits → `count` views (n,3,side,side) in [0,1], on the same device."""
    return [make_view(stored, policy.view(index), side, draws) for index in range(count)]


def make_view(stored: Tensor, view: View, side: int, draws: torch.Generator) -> Tensor:
    """Images (n,s,s,3) of 8 bits → one view of each (n,3,side,side) in [0,1]."""
    count, device = len(stored), stored.device
    boxes = send(view.crop.boxes(count, stored.shape[1], side, draws).float(), device)
    flips = torch.rand(3, count, generator=draws)
    limits = torch.tensor([view.mirror, 0.5, 0.5]) * torch.tensor([1, view.turns, view.turns])
    mirrored, turned, crossed = send(flips < limits.reshape(3, 1), device)
    cutting = cut_windows if view.crop.kind == "window" else cut
    images = cutting(stored, boxes, side, mirrored, turned)
    if view.turns:
        images = torch.where(crossed.reshape(-1, 1, 1, 1), images.transpose(2, 3), images)
    numbers, levels = view.drawn(count, draws)
    randoms = torch.rand(*numbers.shape, 2, generator=draws)
    return apply_ops(images, numbers, levels, randoms).clamp(0, 1)


def apply_ops(images: Tensor, numbers: Tensor, levels: Tensor, randoms: Tensor) -> Tensor:
    """Images (n,3,h,w) after the operations (n,s) of these numbers, −1 for none, slot by slot.

    `levels` (n,s) and `randoms` (n,s,2) lie in [0,1] and are on the CPU, as `numbers` are.
    """
    ops = tuple(OPS.values())
    images = images.clone()
    counts = [torch.bincount(slot + 1, minlength=len(ops) + 1).tolist() for slot in numbers.T]
    order = send(numbers.argsort(dim=0), images.device)
    levels, randoms = send(levels, images.device), send(randoms, images.device)
    for slot, (idle, *count) in enumerate(counts):
        first = idle
        for op, several in zip(ops, count, strict=True):
            if several:
                rows = order[first : first + several, slot]
                amounts = op.amount(levels[rows, slot], randoms[rows, slot])
                images[rows] = op.apply(images[rows], amounts)
                first += several
    return images


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting for it."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
