"""Measuring every route on every cell of photographs that no expert trained on."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmsr_core.plugin.components import RouterData
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.data import Pair, to_tensor
from mmsr_core.train.labels import cheapest_within

Routes = Mapping[str, tuple[tuple[str, ...], str | None]]
"""class → names of its experts, name of its fuser."""
Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""BT.601 in studio range, the luma in which Y-PSNR is stated."""


def measure_routes(
    pairs: Sequence[Pair],
    experts: Mapping[str, nn.Module],
    fusers: Mapping[str, nn.Module],
    routes: Routes,
    extractor: nn.Module,
    cell: int,
    epsilon: float,
    report: Callable[[int, int], None],
) -> RouterData:
    """Run every expert on every whole photograph; per cell, the features and each route's error.

    Each photograph counts four times, with its cells shifted by half a cell down, across, and
    both: its networks run once, and the classifier sees four times as many tiles.
    Modules are in eval mode and on the CPU; the experts move to the GPU where there is one.
    The error is the mean squared error of luma in [0,1]² units, over the part of the cell that
    lies inside the photograph.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    costs = route_costs(experts, routes)
    scale = pairs[0].hr.shape[0] // pairs[0].lr.shape[0]
    features, errors, images, photos = [], [], [], []
    shapes: list[tuple[int, int]] = []
    for number, pair in enumerate(pairs):
        lr, hr = to_tensor(pair.lr[None]), to_tensor(pair.hr[None])
        with torch.inference_mode():
            answers = {
                name: module.to(device)(lr.to(device)).cpu() for name, module in experts.items()
            }
            routed = [_answer(route, answers, fusers) for route in routes.values()]
            for top, left in _shifts(pair.lr.shape[0], pair.lr.shape[1], cell):
                grid = Grid(pair.lr.shape[0] - top, pair.lr.shape[1] - left, cell)
                truth = hr[..., top * scale :, left * scale :]
                columns = [
                    cell_errors(answer[..., top * scale :, left * scale :], truth, grid)
                    for answer in routed
                ]
                cells = torch.from_numpy(grid.cells(lr[0, :, top:, left:].numpy()))
                features.append(extractor(cells).numpy().astype(np.float32))
                errors.append(np.stack(columns, axis=1))
                images.append(np.full(len(features[-1]), len(shapes)))
                shapes.append((grid.height, grid.width))
                photos.append(pair.photo)
        report(number + 1, len(pairs))
    measured = np.concatenate(errors)
    return RouterData(
        features=np.concatenate(features),
        names=tuple(extractor.names),  # type: ignore[arg-type]
        errors=measured,
        labels=cheapest_within(measured, costs, epsilon),
        costs=costs,
        images=np.concatenate(images),
        shapes=np.array(shapes),
        photos=np.array(photos),
        classes=tuple(routes),
    )


def _shifts(height: int, width: int, cell: int) -> list[tuple[int, int]]:
    """Where to start cutting: 0 and, where a whole cell is left, half a cell in."""
    half = cell // 2
    tops = [0, half] if height >= cell + half else [0]
    lefts = [0, half] if width >= cell + half else [0]
    return [(top, left) for top in tops for left in lefts]


def cell_errors(answer: Tensor, truth: Tensor, grid: Grid) -> npt.NDArray[np.float64]:
    """Mean squared luma error of every cell, row by row, from images (1,3,s·h,s·w)."""
    weights = torch.tensor(LUMA)[:, None, None]
    difference = ((answer - truth)[0] * weights).sum(0).double().square().numpy()
    height, width = difference.shape
    step = grid.cell * height // grid.height
    rows = np.add.reduceat(difference, np.arange(0, height, step), axis=0)
    sums = np.add.reduceat(rows, np.arange(0, width, step), axis=1).ravel()
    means: npt.NDArray[np.float64] = sums / cell_areas(height, width, step)
    return means


def cell_areas(height: int, width: int, cell: int) -> npt.NDArray[np.int64]:
    """Pixels of every cell, row by row: those at the far borders may be cut short."""
    lengths = [np.diff(np.append(np.arange(0, side, cell), side)) for side in (height, width)]
    return np.outer(*lengths).ravel()


def route_costs(
    experts: Mapping[str, nn.Module], routes: Routes, side: int = 64
) -> npt.NDArray[np.float64]:
    """Multiply-accumulates of each route over those of the dearest.

    Enough for an order; the exporter measures time where the graphs run.
    """
    macs = {name: count_macs(module, side) for name, module in experts.items()}
    costs = np.array([sum(macs[name] for name in names) for names, _ in routes.values()])
    relative: npt.NDArray[np.float64] = costs / (costs.max() or 1)
    return relative


def count_macs(module: nn.Module, side: int = 64) -> float:
    """Multiply-accumulates of the convolutions and linear layers, per LR pixel; on the CPU."""
    total = 0

    def count(layer: Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        # A weight is used once per output element, in a transposed convolution per input element.
        used = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += used.numel() * layer.weight[0].numel()

    layers = [m for m in module.modules() if isinstance(m, Layer)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    return total / side**2


def _answer(
    route: tuple[tuple[str, ...], str | None],
    answers: Mapping[str, Tensor],
    fusers: Mapping[str, nn.Module],
) -> Tensor:
    names, fuser = route
    if fuser is None:
        return answers[names[0]]
    fused: Tensor = fusers[fuser](torch.stack([answers[name] for name in names], dim=1))
    return fused
