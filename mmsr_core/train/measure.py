"""Measuring every route on every cell of photographs that no expert trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmsr_core.measure.oracle import cell_sums
from mmsr_core.plugin.components import RouterData
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.data import Pair, to_tensor
from mmsr_core.train.graph import GraphModule
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
    found = measure_cells(
        pairs, experts, fusers, routes, extractor, (cell,), epsilon, report, shifted=True
    )
    return found[cell]


def measure_cells(
    pairs: Sequence[Pair],
    experts: Mapping[str, nn.Module],
    fusers: Mapping[str, nn.Module],
    routes: Routes,
    extractor: nn.Module,
    cells: Sequence[int],
    epsilon: float,
    report: Callable[[int, int], None],
    *,
    shifted: bool,
) -> dict[int, RouterData]:
    """`measure_routes` for several sizes of cells, the experts running once; size → data.

    Without `shifted` a photograph counts once, cut as the engine cuts it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    costs = route_costs(experts, routes)
    scale = pairs[0].hr.shape[0] // pairs[0].lr.shape[0]
    found: dict[int, list[_Cut]] = {cell: [] for cell in cells}
    for number, pair in enumerate(pairs):
        lr, hr = to_tensor(pair.lr[None]), to_tensor(pair.hr[None])
        with torch.inference_mode():
            answers = {
                name: module.to(device)(lr.to(device)).cpu() for name, module in experts.items()
            }
            routed = [_answer(route, answers, fusers) for route in routes.values()]
            for cell, cuts in found.items():
                starts = _shifts(pair.lr.shape[0], pair.lr.shape[1], cell) if shifted else [(0, 0)]
                for top, left in starts:
                    grid = Grid(pair.lr.shape[0] - top, pair.lr.shape[1] - left, cell)
                    truth = hr[..., top * scale :, left * scale :]
                    columns = [
                        cell_errors(answer[..., top * scale :, left * scale :], truth, grid)
                        for answer in routed
                    ]
                    tiles = torch.from_numpy(grid.cells(lr[0, :, top:, left:].numpy()))
                    features = extractor(tiles).numpy().astype(np.float32)
                    cuts.append(_Cut(grid, pair.photo, features, np.stack(columns, axis=1)))
        report(number + 1, len(pairs))
    names = tuple(extractor.names)  # type: ignore[arg-type]
    return {
        cell: _router_data(cuts, names, costs, epsilon, tuple(routes))
        for cell, cuts in found.items()
    }


@dataclass(frozen=True)
class _Cut:
    """One photograph cut one way: features (n,f) and errors (n,r) of its cells, row by row."""

    grid: Grid
    photo: int
    features: npt.NDArray[np.float32]
    errors: npt.NDArray[np.float64]


def _router_data(
    cuts: Sequence[_Cut],
    names: tuple[str, ...],
    costs: npt.NDArray[np.float64],
    epsilon: float,
    classes: tuple[str, ...],
) -> RouterData:
    errors = np.concatenate([cut.errors for cut in cuts])
    return RouterData(
        features=np.concatenate([cut.features for cut in cuts]),
        names=names,
        errors=errors,
        labels=cheapest_within(errors, costs, epsilon),
        costs=costs,
        images=np.repeat(np.arange(len(cuts)), [len(cut.errors) for cut in cuts]),
        shapes=np.array([(cut.grid.height, cut.grid.width) for cut in cuts]),
        photos=np.array([cut.photo for cut in cuts]),
        classes=classes,
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
    means: npt.NDArray[np.float64] = cell_sums(difference, step)
    means /= Grid(height, width, step).areas
    return means


def route_costs(
    experts: Mapping[str, nn.Module], routes: Routes, side: int = 64
) -> npt.NDArray[np.float64]:
    """Multiply-accumulates of each route over those of the dearest.

    Enough for an order; the exporter measures time where the graphs run.
    """
    macs = {name: work(module, side) for name, module in experts.items()}
    costs = np.array([sum(macs[name] for name in names) for names, _ in routes.values()])
    relative: npt.NDArray[np.float64] = costs / (costs.max() or 1)
    return relative


def work(module: nn.Module, side: int = 64) -> float:
    """Multiply-accumulates of an expert per LR pixel: counted, or what a graph says of itself."""
    return module.macs if isinstance(module, GraphModule) else count_macs(module, side)


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
