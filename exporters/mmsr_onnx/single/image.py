"""The graphs for whole images: cells, plan, experts on the plan's squares, stitching."""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.plan import costs_of
from mmsr_onnx.single.circuit import Wire
from mmsr_onnx.single.pieces import Pieces, batch
from mmsr_onnx.single.plan import Squares, losses, plan_squares, price, spread
from mmsr_onnx.single.system import EFFORT, System, read_router, read_system, to_model, value


def image_graph(bundle: Bundle, required_effort: bool = False) -> ModelProto:
    """`image` (1,3,h,w), and `effort` → `upscaled` (1,3,s·h,s·w) and `routes` (rows,columns)."""
    system = read_system(bundle)
    upscaled, routes = _upscale(system, Wire(system.circuit, "image", "float32"))
    inputs = [value("image", (1, 3, "h", "w"))]
    outputs = [(upscaled, value("upscaled", (1, 3, "H", "W")))]
    outputs += [_table("routes", routes)]
    return to_model(system, inputs, outputs, "image", required_effort)


def plan_graph(bundle: Bundle) -> ModelProto:
    """`image` (1,3,h,w) and `effort` → `routes` and `sides`, both (rows,columns).

    The plan of `image_graph` without its experts, for a runtime of their own to run them. A cell
    lies in a square of `sides` cells a side, which starts at a multiple of it.
    """
    system = read_router(bundle)
    squares = _plan(system, Wire(system.circuit, "image", "float32"))
    inputs = [value("image", (1, 3, "h", "w"))]
    outputs = [_table("routes", route_table(squares)), _table("sides", side_table(squares))]
    return to_model(system, inputs, outputs, "plan", True)


def images_graph(bundle: Bundle) -> ModelProto:
    """`images` (n,3,h,w) and `effort` (n,1) → `upscaled` (n,3,s·h,s·w), `routes` (n,rows,columns).

    Each image is planned for itself: its answer is what it would be alone.
    """
    system = read_system(bundle)
    upscaled, routes = _upscale(system, Wire(system.circuit, "images", "float32"))
    inputs = [value("images", ("n", 3, "h", "w"))]
    outputs = [(upscaled, value("upscaled", ("n", 3, "H", "W")))]
    outputs += [(routes, value("routes", ("n", "rows", "columns"), TensorProto.INT64))]
    return to_model(system, inputs, outputs, "images", True, ("n", 1))


def _upscale(system: System, images: Wire) -> tuple[Wire, Wire]:
    """Images (n,3,h,w) upscaled, and the routes (n,rows,columns) that their cells took."""
    squares = _plan(system, images)
    return upscale_squares(images, squares, system), route_table(squares)


def _plan(system: System, images: Wire) -> list[Squares]:
    """The plans of images (n,3,h,w)."""
    manifest, circuit = system.manifest, system.circuit
    tiles = manifest.tiles
    costs = costs_of(manifest, tiles.halo)
    effort = Wire(circuit, EFFORT, "float32").cast("float64").reshape(-1, 1, 1, 1)
    height, width = images.size(2), images.size(3)
    rows, columns = ((side + (tiles.cell - 1)) // tiles.cell for side in (height, width))
    cells = cut_cells(images, rows, columns, tiles.cell)
    scores = system.router.run(cells, manifest.router.output)
    heights, widths = (
        (length - circuit.count(count) * tiles.cell).at_most(tiles.cell).cast("float64")
        for length, count in ((height, rows), (width, columns))
    )
    areas = heights.reshape(-1, 1, 1) * widths.reshape(1, -1, 1)
    scores = scores.reshape(-1, rows, columns, len(manifest.classes))
    lost = losses(scores, manifest.router.output, effort, costs, areas)
    return plan_squares(lost, height, width, tiles.cell, costs, price(effort, manifest.effort))


def cut_cells(image: Wire, rows: Wire, columns: Wire, cell: int) -> Wire:
    """Images (n,3,h,w) → cells (n·rows·columns,3,t,t), row by row; short ones repeat the border."""
    count = image.circuit.count
    for axis, length in ((2, rows), (3, columns)):
        image = image.take(count(length * cell).at_most(image.size(axis) - 1), axis)
    cut = image.reshape(-1, 3, rows, cell, columns, cell).transpose(0, 2, 4, 1, 3, 5)
    return cut.reshape(-1, 3, cell, cell)


def route_table(squares: Sequence[Squares]) -> Wire:
    """The route of every cell, (n,rows,columns) int64."""
    return _of_cells(squares, [one.chosen.where(one.route, 0) for one in squares])


def side_table(squares: Sequence[Squares]) -> Wire:
    """The side of the square that every cell lies in, (n,rows,columns) int64."""
    return _of_cells(squares, [one.chosen.cast("int64") * one.side for one in squares])


def _of_cells(squares: Sequence[Squares], facts: Sequence[Wire]) -> Wire:
    """What each cell's square tells, of tables that are 0 where none is chosen."""
    cells = squares[-1]
    return _total(
        [
            spread(fact, one.side, cells.rows, cells.columns)
            for one, fact in zip(squares, facts, strict=True)
        ]
    )


def upscale_squares(image: Wire, squares: Sequence[Squares], system: System) -> Wire:
    """Run every square's route on its window and stitch: (n,3,h,w) → (n,3,s·h,s·w).

    The answers lie end to end in pieces one LR pixel wide, and the output takes each of its own
    from where it lies: at offset + column + row · stride + channel · plane, which every cell has
    its own three of.
    """
    circuit, scale, cell = system.circuit, system.manifest.scale, system.manifest.tiles.cell
    height, width = image.size(2), image.size(3)
    pieces = Pieces(scale, circuit.vector(0))
    cells = squares[-1]
    layouts = [
        [
            spread(same.chosen.where(number, 0), same.side, cells.rows, cells.columns)
            for number in _run(image, same, system, pieces)
        ]
        for same in squares
    ]
    high = height * scale
    down = circuit.count(high) // (cell * scale)
    across = circuit.count(width) // cell
    offset, stride, plane = (
        _total(parts).cast("int32").take(down, 1).take(across, 2).reshape(-1, 1, high, width)
        for parts in zip(*layouts, strict=True)
    )
    row = circuit.count(high, "int32").reshape(-1, 1)
    channel = circuit.constant(np.arange(3, dtype=np.int32).reshape(3, 1, 1))
    place = offset + circuit.count(width, "int32") + row * stride + channel * plane
    return pieces.take(place).reshape(-1, 3, high, width * scale)


def _run(image: Wire, same: Squares, system: System, pieces: Pieces) -> tuple[Wire, Wire, Wire]:
    """Run the squares of one side; the offset (n,rows,columns), stride and plane of their answers.

    All windows of one side have one size, so that they form batches, and none leaves the image:
    at a border the window moves inwards, and the network's own padding meets the photograph's
    own edge, as it does when the expert runs on the whole image.
    """
    circuit, scale, tiles = system.circuit, system.manifest.scale, system.manifest.tiles
    side = same.side * tiles.cell
    high, wide = (image.size(axis).at_most(side + 2 * tiles.halo) for axis in (2, 3))
    tops = _starts(same.rows, side, tiles.halo, image.size(2) - high)
    lefts = _starts(same.columns, side, tiles.halo, image.size(3) - wide)
    windows = _windows(image, tops, lefts, high, wide)
    chosen, route = same.chosen.reshape(-1), same.route.reshape(-1)
    mine, begins = [], []
    for number in range(len(system.manifest.classes)):
        mine.append((chosen & route.equals(number)).places())
        answers = system.upscale(batch(windows, mine[-1]), number)
        begins.append(pieces.add(answers, mine[-1]))
    zeros = circuit.constant(np.array(0, np.int64)).full(windows.size(0))
    begin = zeros.put(circuit.join(mine), circuit.join(begins))
    begin = begin.reshape(-1, same.rows, same.columns)
    return begin - tops.reshape(-1, 1) * scale * wide - lefts, wide, high * wide * scale


def _starts(count: Wire, side: int, halo: int, last: Wire) -> Wire:
    """Where the windows of squares begin along one axis: `halo` before them, inside the image."""
    wanted = count.circuit.count(count) * side - halo
    return wanted.at_least(0).at_most(last)


def _windows(image: Wire, tops: Wire, lefts: Wire, high: Wire, wide: Wire) -> Wire:
    """Every window of images (n,3,h,w): (n·rows·columns,3,high,wide), row by row."""
    count = image.circuit.count
    rows, columns = tops.size(0), lefts.size(0)
    image = image.take((tops.reshape(-1, 1) + count(high)).reshape(-1), 2)
    image = image.take((lefts.reshape(-1, 1) + count(wide)).reshape(-1), 3)
    cut = image.reshape(-1, 3, rows, high, columns, wide).transpose(0, 2, 4, 1, 3, 5)
    return cut.reshape(-1, 3, high, wide)


def _table(name: str, table: Wire) -> tuple[Wire, ValueInfoProto]:
    """A table (1,rows,columns) as an output (rows,columns)."""
    info = value(name, ("rows", "columns"), TensorProto.INT64)
    return table.reshape(table.size(1), table.size(2)), info


def _total(parts: Sequence[Wire]) -> Wire:
    whole, *rest = parts
    for part in rest:
        whole = whole + part
    return whole
