"""The one graph of an image answers, cell by cell, what the routed expert answers whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import CELL, brightening, fused, grown, plain, probable

from mmsr_core.errors import ExportError
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.tiles import Grid
from mmsr_onnx.single.check import Reference, check_plan, open_graph
from mmsr_onnx.single.image import image_graph, plan_graph

Image = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Whole:
    """A bundle, its one graph, and what each route's experts answer on the whole image."""

    run: Callable[..., tuple[Image, Image]]
    reference: Reference
    engine: Engine

    @classmethod
    def open(cls, bundle: Bundle) -> "Whole":
        graph = image_graph(bundle).SerializeToString()
        return cls(open_graph(graph), Reference.open(bundle), Engine(bundle, "cpu"))

    def upscale(self, image: Image, effort: float) -> tuple[Image, Image]:
        """The graph's answer (3,h,w) and routes, the routes being those of the reference."""
        upscaled, routes = self.run(image[None], effort)
        expected, wanted = self.reference.upscale_image(image, float(np.float32(effort)))
        np.testing.assert_allclose(upscaled[0], expected, atol=1e-5)
        np.testing.assert_array_equal(routes, wanted)
        return upscaled[0], routes

    def route(self, image: Image, number: int) -> Image:
        """What a route's experts, and their mean, answer on the whole image: (3,H,W)."""
        manifest = self.engine.manifest
        names = manifest.routes[manifest.classes[number]].experts
        pixels = image.transpose(1, 2, 0)
        answers = [self.engine.run_expert(name, pixels) for name in names]
        return np.mean(answers, axis=0).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole.open(plain(tmp_path_factory.mktemp("errors") / "bundle"))


@pytest.fixture(scope="module", params=[plain, fused, probable, grown])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole.open(request.param(tmp_path_factory.mktemp("whole") / "bundle"))


def same_as_whole(whole: Whole, image: Image, effort: float) -> Image:
    """Check every pixel of every cell, border and all: the halo is the receptive radius."""
    upscaled, routes = whole.upscale(image, effort)
    grid = Grid(image.shape[1], image.shape[2], CELL)
    assert routes.shape == (grid.rows, grid.columns)
    answers = [whole.route(image, number) for number in range(2)]
    for row in range(grid.rows):
        for column in range(grid.columns):
            box = grid.box(slice(row, row + 1), slice(column, column + 1)).scaled(2)
            cell = np.s_[:, box.top : box.bottom, box.left : box.right]
            answer = answers[routes[row, column]]
            np.testing.assert_allclose(upscaled[cell], answer[cell], atol=1e-5)
    return routes


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (3, 130), (150, 5), (140, 141)])
def test_every_cell_is_what_its_route_answers_on_the_whole_image(
    whole: Whole, size: tuple[int, int]
) -> None:
    same_as_whole(whole, brightening(*size), 0.4)


@settings(max_examples=25)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    seed=st.integers(0, 99),
    effort=st.floats(0, 1, width=32),
)
def test_any_size_at_any_effort_is_upscaled_as_whole(
    errors: Whole, height: int, width: int, seed: int, effort: float
) -> None:
    same_as_whole(errors, brightening(height, width, seed), effort)


def test_both_routes_are_taken_where_both_are_worth_it(whole: Whole) -> None:
    routes = same_as_whole(whole, brightening(40, 150), 0.4)
    assert set(routes.ravel()) == {0, 1}


def test_effort_one_is_the_deepest_route_everywhere(whole: Whole) -> None:
    assert (same_as_whole(whole, brightening(40, 150), 1.0) == 1).all()


def test_more_effort_sends_no_fewer_cells_to_the_deepest(errors: Whole) -> None:
    image = brightening(40, 150)
    shares = [errors.upscale(image, effort)[1].mean() for effort in (0.0, 0.5, 0.9, 1.0)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_the_default_effort_is_the_bundles(errors: Whole, tmp_path: Path) -> None:
    import onnxruntime

    graph = image_graph(write_upscaler(tmp_path / "bundle", effort={"default": 1.0}))
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert [value.name for value in session.get_inputs()] == ["image"]
    (routes,) = session.run(["routes"], {"image": brightening(20, 60)[None]})
    assert (routes == 1).all()


def test_a_required_effort_is_an_input_like_the_image(tmp_path: Path) -> None:
    graph = image_graph(write_upscaler(tmp_path / "bundle"), required_effort=True)
    assert [value.name for value in graph.graph.input] == ["image", "effort"]
    assert "effort" not in {tensor.name for tensor in graph.graph.initializer}


@pytest.mark.parametrize("make", [plain, probable, grown])
def test_the_plan_alone_is_that_of_the_reference(
    tmp_path: Path, make: Callable[[Path], Bundle]
) -> None:
    bundle = make(tmp_path / "bundle")
    graph = plan_graph(bundle)
    assert not [tensor.name for tensor in graph.graph.initializer if "dear" in tensor.name]
    check_plan(graph.SerializeToString(), bundle)


def test_another_plan_is_told(tmp_path: Path) -> None:
    graph = plan_graph(plain(tmp_path / "plain")).SerializeToString()
    with pytest.raises(ExportError, match="the plan of tiny-x2 as a graph is another"):
        check_plan(graph, probable(tmp_path / "other"))


def test_an_expert_that_no_route_names_is_left_out(tmp_path: Path) -> None:
    routes = {"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["cheap"]}}
    graph = image_graph(write_upscaler(tmp_path / "bundle", routes=routes))
    assert not [tensor.name for tensor in graph.graph.initializer if "dear" in tensor.name]


def test_the_weights_of_an_expert_are_stored_once(tmp_path: Path) -> None:
    graph = image_graph(write_upscaler(tmp_path / "bundle"))
    kernels = [t.name for t in graph.graph.initializer if list(t.dims) == [6, 3, 3, 3]]
    assert kernels == ["dear/w1"]
    assert sum("dear/w1" in node.input for node in graph.graph.node) > 1
