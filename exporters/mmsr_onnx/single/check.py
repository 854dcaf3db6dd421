"""Does the one graph answer what its parts answer? The plan of squares once more, in numpy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from mmsr_core.errors import ExportError
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.device import QUIET
from mmsr_core.runtime.plan import OVERHEAD, costs_of, penalties, price
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.tiles import Box, Floats, Grid
from mmsr_onnx.single.plan import SIDES

TOLERANCE = {"fp32": 1e-4, "fp16": 0.01, "int8": 0.05}
"""What a pixel, in [0,1], may differ by: a rounding to 8 bits may rightly fall the other way."""
CPU = Device("cpu", "parity is checked there")
Answer = tuple[Floats, npt.NDArray[np.int64]]
"""The upscaled pixels, and the routes that were taken."""
Square = tuple[slice, slice, int, int]
"""Rows and columns of cells, the side before the image's border cut it, and the route."""


@dataclass(frozen=True)
class Reference:
    """A bundle run square by square, one session per graph."""

    bundle: Bundle
    router: Session
    experts: dict[str, Session]
    fusers: dict[str, Session]

    @classmethod
    def open(cls, bundle: Bundle) -> "Reference":
        """Open every graph on the CPU."""
        manifest = bundle.manifest

        def session(path: str) -> Session:
            return Session(bundle.graph(path), CPU, path)

        return cls(
            bundle,
            session(manifest.router.graph),
            {expert.name: session(expert.graph) for expert in manifest.experts},
            {name: session(fuser.graph) for name, fuser in manifest.fusers.items()},
        )

    def upscale_image(self, image: Floats, effort: float) -> Answer:
        """Image (3,h,w) → upscaled (3,s·h,s·w) and routes (rows,columns)."""
        manifest = self.bundle.manifest
        scale, halo = manifest.scale, manifest.tiles.halo
        _, height, width = image.shape
        grid = Grid(height, width, manifest.tiles.cell)
        upscaled = np.zeros((3, height * scale, width * scale), np.float32)
        routes = np.zeros((grid.rows, grid.columns), np.int64)
        for rows, columns, side, route in self.plan(image, effort):
            routes[rows, columns] = route
            box = grid.box(rows, columns)
            window = _window(box, side * grid.cell + 2 * halo, halo, height, width)
            cut = image[:, window.top : window.bottom, window.left : window.right]
            answer = self._run(np.ascontiguousarray(cut[None]), route)[0]
            inner, outer = box.scaled(scale), window.scaled(scale)
            upscaled[:, inner.top : inner.bottom, inner.left : inner.right] = answer[
                :,
                inner.top - outer.top : inner.bottom - outer.top,
                inner.left - outer.left : inner.right - outer.left,
            ]
        return upscaled, routes

    def plan(self, image: Floats, effort: float) -> Iterator[Square]:
        """The squares of an image (3,h,w)."""
        manifest = self.bundle.manifest
        _, height, width = image.shape
        grid = Grid(height, width, manifest.tiles.cell)
        lost = self._losses(grid.cells(image), effort, grid.areas)
        lost = lost.reshape(grid.rows, grid.columns, -1)
        knob = max(price(effort, manifest.effort), 1e-6)
        return _squares(lost, grid, self._times(), manifest.tiles.halo, knob)

    def upscale_tiles(self, tiles: Floats, effort: float) -> Answer:
        """Tiles (n,3,t+2·halo,t+2·halo) → upscaled (n,3,s·t,s·t) and routes (n,)."""
        manifest = self.bundle.manifest
        cell, halo, scale = manifest.tiles.cell, manifest.tiles.halo, manifest.scale
        n, _, side, _ = tiles.shape
        upscaled = np.zeros((n, 3, cell * scale, cell * scale), np.float32)
        if not n:  # no question for a router
            return upscaled, np.zeros(0, np.int64)
        middle = slice(halo, halo + cell)
        lost = self._losses(np.ascontiguousarray(tiles[:, :, middle, middle]), effort)
        share = side**2 / (n * cell**2)
        knob = max(price(effort, manifest.effort), 1e-6)
        routes = (lost + knob * share * self._times()).argmin(1)
        inner = slice(halo * scale, (halo + cell) * scale)
        for index, route in enumerate(routes):
            answer = self._run(tiles[index : index + 1], int(route))
            upscaled[index] = answer[0, :, inner, inner]
        return upscaled, routes

    def _times(self) -> npt.NDArray[np.float64]:
        return np.array(costs_of(self.bundle.manifest, 0).routes)

    def _losses(
        self, cells: Floats, effort: float, areas: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        manifest = self.bundle.manifest
        costs = costs_of(manifest, manifest.tiles.halo)
        output = manifest.router.output
        scores = self.router.run(cells, output, (len(cells), len(costs.routes)))
        return penalties(scores.astype(np.float64), output, effort, costs, areas)

    def _run(self, tiles: Floats, route: int) -> Floats:
        manifest = self.bundle.manifest
        chosen = manifest.routes[manifest.classes[route]]
        n, _, height, width = tiles.shape
        shape = (n, 3, height * manifest.scale, width * manifest.scale)
        answers = [self.experts[name].run(tiles, "upscaled", shape) for name in chosen.experts]
        if chosen.fuser is None:
            return answers[0]
        return self.fusers[chosen.fuser].run(np.stack(answers, axis=1), "fused", shape)


def open_graph(graph: bytes) -> Callable[[Floats, float | Floats], Answer]:
    """A one-file graph ready to run: its image or tiles, and an effort → its answer."""
    return _opened(graph, "upscaled", "routes")


def _opened(graph: bytes, *outputs: str) -> Callable[[Floats, float | Floats], Any]:
    """The same of a graph with these outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET  # it warns of every input that has a default
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(graph, options, providers=providers)
    name = session.get_inputs()[0].name

    def run(array: Floats, effort: float | Floats) -> Any:
        given = {name: array, "effort": np.array(effort, np.float32)}
        return tuple(session.run(outputs, given))

    return run


def check_images(graph: bytes, bundle: Bundle) -> float:
    """Largest difference on a batch of unlike pictures and efforts; ExportError if too large."""
    run, reference = open_graph(graph), Reference.open(bundle)
    cell = bundle.manifest.tiles.cell
    efforts = _efforts(bundle)
    pictures = [picture(2 * cell + 1, 17 * cell + 3, seed) for seed, _ in enumerate(efforts)]
    upscaled, routes = run(np.stack(pictures), np.array(efforts, np.float32)[:, None])
    return max(
        _difference(
            (upscaled[index], routes[index]),
            reference.upscale_image(pictures[index], effort),
            bundle,
        )
        for index, effort in enumerate(efforts)
    )


def check_image(graph: bytes, bundle: Bundle) -> float:
    """Largest difference on pictures smaller and larger than squares; ExportError if too large."""
    run, reference = open_graph(graph), Reference.open(bundle)
    cell = bundle.manifest.tiles.cell
    pictures = [picture(*size, seed=1) for size in ((1, cell + 1), (2 * cell + 1, 17 * cell + 3))]
    return max(
        _difference(run(image[None], effort), reference.upscale_image(image, effort), bundle)
        for image in pictures
        for effort in _efforts(bundle)
    )


def check_plan(graph: bytes, bundle: Bundle) -> None:
    """ExportError for a graph of `plan_graph` that plans otherwise than its router asks."""
    run, reference = _opened(graph, "routes", "sides"), Reference.open(bundle)
    cell = bundle.manifest.tiles.cell
    image = picture(2 * cell + 1, 17 * cell + 3, seed=1)
    for effort in _efforts(bundle):
        routes, sides = run(image[None], effort)
        for rows, columns, side, route in reference.plan(image, effort):
            if (routes[rows, columns] != route).any() or (sides[rows, columns] != side).any():
                name = bundle.manifest.name
                raise ExportError(f"the plan of {name} as a graph is another; nothing was written")


def check_tiles(graph: bytes, bundle: Bundle) -> float:
    """Largest difference on no tile, one and many; ExportError if too large."""
    run, reference = open_graph(graph), Reference.open(bundle)
    side = bundle.manifest.tiles.cell + 2 * bundle.manifest.tiles.halo
    row = picture(side, 12 * side, seed=1).reshape(3, side, 12, side).transpose(2, 0, 1, 3)
    tiles = np.ascontiguousarray(row)
    return max(
        _difference(run(some, effort), reference.upscale_tiles(some, effort), bundle)
        for some in (tiles[:0], tiles[5:6], tiles)
        for effort in _efforts(bundle)
    )


def _efforts(bundle: Bundle) -> list[float]:
    """Those that a graph can be asked for: float32."""
    return [float(np.float32(effort)) for effort in (0.0, bundle.manifest.effort.default, 1.0)]


def _difference(got: Answer, expected: Answer, bundle: Bundle) -> float:
    manifest = bundle.manifest
    what = f"{manifest.name} as one graph"
    if not np.array_equal(got[1], expected[1]):
        raise ExportError(f"{what} takes other routes than its parts; nothing was written")
    tolerance = max(TOLERANCE[expert.precision] for expert in manifest.experts)
    difference = float(np.max(np.abs(got[0] - expected[0]), initial=0.0))
    if not difference <= tolerance:
        raise ExportError(
            f"{what} differs from its parts by {difference:.2g}, more than {tolerance:g}; "
            "nothing was written"
        )
    return difference


def picture(height: int, width: int, seed: int) -> Floats:
    """Image (3,height,width) in [0,1]: waves that grow from flat to busy, and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    busy = (x / max(1, width - 1)) ** 2
    wave = np.sin(0.5 * x + 0.3 * y) * np.cos(0.02 * x * y / max(1, height) + seed)
    colour = rng.uniform(0.3, 0.7, (3, 1, 1))
    grain = rng.normal(0, 0.1, (3, height, width))
    image: Floats = (colour + busy * (0.25 * wave + grain)).clip(0, 1).astype(np.float32)
    return image


def _window(box: Box, side: int, halo: int, height: int, width: int) -> Box:
    """The window of a square: `side` long where the image is, pushed inside it."""
    high, wide = min(height, side), min(width, side)
    top = min(max(0, box.top - halo), height - high)
    left = min(max(0, box.left - halo), width - wide)
    return Box(top, top + high, left, left + wide)


def _squares(
    lost: npt.NDArray[np.float64],
    grid: Grid,
    times: npt.NDArray[np.float64],
    halo: int,
    price: float,
) -> Iterator[Square]:
    """The best plan of squares."""
    area = grid.height * grid.width

    def best(level: int, row: int, column: int) -> tuple[float, list[Square]]:
        side = SIDES[level]
        rows = slice(row, min(row + side, grid.rows))
        columns = slice(column, min(column + side, grid.columns))
        reach = side * grid.cell + 2 * halo
        pixels = min(grid.height, reach) * min(grid.width, reach)
        values = lost[rows, columns].sum((0, 1)) + price * (pixels * times + OVERHEAD) / area
        route = int(values.argmin())
        whole = float(values[route]), [(rows, columns, side, route)]
        if not level:
            return whole
        value, regions = 0.0, list[Square]()
        for top in range(rows.start, rows.stop, SIDES[level - 1]):
            for left in range(columns.start, columns.stop, SIDES[level - 1]):
                worth, found = best(level - 1, top, left)
                value += worth
                regions += found
        return whole if whole[0] <= value else (value, regions)

    for row in range(0, grid.rows, SIDES[-1]):
        for column in range(0, grid.columns, SIDES[-1]):
            yield from best(len(SIDES) - 1, row, column)[1]
