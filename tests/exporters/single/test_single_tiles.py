"""The one graph of tiles answers what each tile's expert answers, for any number of tiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import write_upscaler
from systems import CELL, brightening, fused, grown, plain, probable

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_onnx.single.check import Reference, open_graph
from mmsr_onnx.single.tiles import tiles_graph

HALO = 2
SIDE = CELL + 2 * HALO


def tiles_of(count: int) -> np.ndarray[Any, Any]:
    image = brightening(SIDE, SIDE * max(1, count))
    cut = image.reshape(3, SIDE, -1, SIDE).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(cut[:count])


@pytest.fixture(scope="module", params=[plain, fused, probable, grown])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return request.param(tmp_path_factory.mktemp("tiles") / "bundle")


@pytest.fixture(scope="module")
def run(bundle: Bundle) -> Any:
    return open_graph(tiles_graph(bundle).SerializeToString())


@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("effort", [0.0, 0.4, 1.0])
def test_every_tile_is_what_its_route_answers(
    bundle: Bundle, run: Any, count: int, effort: float
) -> None:
    tiles = tiles_of(count)
    upscaled, routes = run(tiles, effort)
    expected, wanted = Reference.open(bundle).upscale_tiles(tiles, float(np.float32(effort)))
    np.testing.assert_array_equal(routes, wanted)
    np.testing.assert_allclose(upscaled, expected, atol=1e-5)
    assert upscaled.shape == (count, 3, 2 * CELL, 2 * CELL)


def test_both_routes_are_taken_where_both_are_worth_it(run: Any) -> None:
    assert set(run(tiles_of(9), 0.4)[1]) == {0, 1}


def test_a_tile_comes_back_without_its_halo(tmp_path: Path) -> None:
    bundle = write_upscaler(tmp_path / "bundle")
    tiles = tiles_of(3)
    upscaled, _ = open_graph(tiles_graph(bundle).SerializeToString())(tiles, 1.0)
    whole = Engine(bundle, "cpu").run_expert("dear", tiles[1].transpose(1, 2, 0))
    inner = slice(2 * HALO, 2 * (HALO + CELL))
    np.testing.assert_allclose(upscaled[1], whole[inner, inner].transpose(2, 0, 1), atol=1e-5)


def test_the_order_of_tiles_is_kept(run: Any) -> None:
    tiles = tiles_of(9)
    order = np.random.default_rng(0).permutation(9)
    upscaled, routes = run(tiles, 0.4)
    shuffled, others = run(np.ascontiguousarray(tiles[order]), 0.4)
    np.testing.assert_array_equal(others, routes[order])
    np.testing.assert_allclose(shuffled, upscaled[order], atol=1e-5)
