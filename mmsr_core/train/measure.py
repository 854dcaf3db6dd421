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
LUMA = (0.299, 0.587, 0.114)


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

    The error is the mean squared error of luma in [0,1]² units, over the part of the cell that
    lies inside the photograph.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    features, errors, images = [], [], []
    for index, pair in enumerate(pairs):
        lr, hr = to_tensor(pair.lr[None]), to_tensor(pair.hr[None])
        grid = Grid(*pair.lr.shape[:2], cell)
        with torch.inference_mode():
            answers = {
                name: module.to(device)(lr.to(device)).cpu() for name, module in experts.items()
            }
            columns = [
                cell_errors(_answer(route, answers, fusers), hr, grid) for route in routes.values()
            ]
            cells = torch.from_numpy(grid.cells(lr[0].numpy()))
            features.append(extractor(cells).numpy().astype(np.float32))
        errors.append(np.stack(columns, axis=1))
        images.append(np.full(len(features[-1]), index))
        report(index + 1, len(pairs))
    measured = np.concatenate(errors)
    costs = route_costs(experts, routes)
    return RouterData(
        features=np.concatenate(features),
        names=tuple(extractor.names),  # type: ignore[arg-type]
        errors=measured,
        labels=cheapest_within(measured, costs, epsilon),
        costs=costs,
        images=np.concatenate(images),
        shapes=np.array([pair.lr.shape[:2] for pair in pairs]),
        photos=np.array([pair.photo for pair in pairs]),
        classes=tuple(routes),
    )


def cell_errors(answer: Tensor, truth: Tensor, grid: Grid) -> npt.NDArray[np.float64]:
    """Mean squared luma error of every cell, row by row, from images (1,3,s·h,s·w)."""
    weights = torch.tensor(LUMA)[:, None, None]
    difference = ((answer - truth)[0] * weights).sum(0).double().square().numpy()
    step = grid.cell * truth.shape[2] // grid.height
    sums = np.add.reduceat(np.add.reduceat(difference, range(0, truth.shape[2], step), 0),
                           range(0, truth.shape[3], step), 1)
    counts = np.outer(_lengths(truth.shape[2], step), _lengths(truth.shape[3], step))
    return np.asarray(sums / counts).ravel()


def route_costs(
    experts: Mapping[str, nn.Module], routes: Routes, side: int = 64
) -> npt.NDArray[np.float64]:
    """Multiply-accumulates of each route over those of the dearest.

    Enough for an order; the exporter measures time where the graphs run.
    """
    macs = {name: count_macs(module, side) for name, module in experts.items()}
    costs = np.array([sum(macs[name] for name in names) for names, _ in routes.values()])
    return costs / costs.max()


def count_macs(module: nn.Module, side: int = 64) -> float:
    """Multiply-accumulates of the convolutions and linear layers, per LR pixel."""
    total = 0

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.inference_mode():
            device = next((p.device for p in module.parameters()), torch.device("cpu"))
            module(torch.zeros(1, 3, side, side, device=device))
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


def _lengths(length: int, step: int) -> npt.NDArray[np.int64]:
    edges = np.append(np.arange(0, length, step), length)
    return np.diff(edges)
