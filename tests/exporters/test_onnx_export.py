"""A draft becomes a bundle whose graphs answer what Python answers, or nothing at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized

from mmsr_core.draft import Draft, ExpertDraft, FuserDraft, RouterDraft
from mmsr_core.errors import BundleError, ExportError
from mmsr_core.plugin.components import RouterData
from mmsr_core.plugin.stages import apply
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.session import Device, Session
from mmsr_onnx import export
from mmsr_onnx.graphs import OPSETS, expert_graph, from_sklearn, from_torch, to_bytes
from mmsr_onnx.parity import textured_tiles

CELL = 16
CPU = Device("cpu", "test")


class Upscale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(channels)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.tail(self.head(x).relu())).clamp(0, 1)


class Moments(nn.Module):
    names = ("mean", "spread", "peak")

    def forward(self, tiles: Tensor) -> Tensor:
        flat = tiles.flatten(1)
        return torch.stack([flat.mean(1), flat.std(1), flat.amax(1)], dim=1)


class Exponential(nn.Module):
    def forward(self, logs: Tensor) -> Tensor:
        return logs.exp()


class Mean(nn.Module):
    def forward(self, candidates: Tensor) -> Tensor:
        return candidates.mean(1)


class Drifting(Upscale):
    """Answers otherwise at every call, as its graph cannot."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + 0.01 * self.calls


@pytest.fixture(scope="module")
def draft() -> Draft:
    rng = np.random.default_rng(0)
    count, classes = 48, ("SIMPLE", "COMPLEX")
    features = _python(Moments(), textured_tiles(count, CELL, CELL, seed=3))
    errors = rng.uniform(1e-4, 1e-2, (count, 2))
    data = RouterData(
        features=features,
        names=Moments.names,
        errors=errors,
        labels=errors.argmin(1),
        costs=np.array([0.5, 1.0]),
        images=np.repeat([0, 1], count // 2),
        shapes=np.array([[4 * CELL, 6 * CELL], [3 * CELL, 8 * CELL]]),
        photos=np.array([0, 1]),
        classes=classes,
    )
    forest = RandomForestRegressor(5, max_depth=4, random_state=0).fit(features, np.log(errors))
    return Draft(
        name="tiny",
        version="1.0.0",
        scale=2,
        classes=classes,
        routes={"SIMPLE": (("low", "high"), "mean"), "COMPLEX": (("high",), None)},
        experts=(
            ExpertDraft(
                name="low", backbone="test", depth=1, radius=2, macs=540.0, module=Upscale(4)
            ),
            ExpertDraft(
                name="high", backbone="test", depth=2, radius=2, macs=3240.0, module=Upscale(24)
            ),
        ),
        fusers=(FuserDraft(name="mean", radius=0, module=Mean()),),
        router=RouterDraft(
            extractor=Moments(),
            feature_names=Moments.names,
            stages=(forest, Exponential()),
            output="errors",
            calibration=data,
            predictions=errors,
        ),
        cell=CELL,
        halo=4,
        seam=1,
        tolerance=0.02,
        made={"recipe": {"seed": 1}, "data": [{"folder": "a"}], "scores": {"cells": count}},
    )


@pytest.fixture(scope="module")
def bundle(draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(draft, tmp_path_factory.mktemp("bundles") / "tiny", lambda _: None)


def _python(module: nn.Module, array: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(array)).numpy()


def _run(
    bundle: Bundle, graph: str, array: Any, output: str, shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    return Session(bundle.graph(graph), CPU, graph).run(array, output, shape)


def test_an_exported_bundle_opens_and_verifies(bundle: Bundle) -> None:
    assert Bundle.open(bundle.directory).manifest == bundle.manifest


@pytest.mark.parametrize("shape", [(1, 3, 9, 31), (5, 3, 40, 8), (2, 3, 1, 1)])
def test_an_expert_takes_any_batch_height_and_width(
    bundle: Bundle, draft: Draft, shape: tuple[int, ...]
) -> None:
    tiles = np.random.default_rng(1).random(shape, np.float32)
    expected = _python(draft.experts[1].module, tiles)
    got = _run(bundle, "experts/high.onnx", tiles, "upscaled", expected.shape)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_fuser_takes_candidates_and_gives_the_fused_image(bundle: Bundle) -> None:
    candidates = np.random.default_rng(1).random((3, 2, 3, 10, 7), np.float32)
    fused = _run(bundle, "fusers/mean.onnx", candidates, "fused", (3, 3, 10, 7))
    np.testing.assert_allclose(fused, candidates.mean(1), atol=1e-6)


def test_the_router_graph_equals_the_chain_of_its_parts(bundle: Bundle, draft: Draft) -> None:
    tiles = textured_tiles(7, CELL, CELL, seed=9)
    features = _run(bundle, "router.onnx", tiles, "features", (7, 3))
    np.testing.assert_allclose(features, _python(Moments(), tiles), rtol=1e-5)
    errors = _run(bundle, "router.onnx", tiles, "errors", (7, 2))
    np.testing.assert_allclose(errors, apply(draft.router.stages, features), rtol=1e-4)


def test_the_router_of_a_classifier_gives_probabilities_alone(draft: Draft, tmp_path: Path) -> None:
    data = draft.router.calibration
    forest = RandomForestClassifier(5, random_state=0).fit(data.features, data.labels)
    predictions = forest.predict_proba(data.features)
    router = replace(
        draft.router, stages=(forest,), output="probs", predictions=np.asarray(predictions)
    )
    bundle = export(replace(draft, router=router), tmp_path / "probs", lambda _: None)
    session = Session(bundle.graph("router.onnx"), CPU, "router")
    tiles = textured_tiles(6, CELL, CELL, seed=4)
    expected = forest.predict_proba(session.run(tiles, "features", (6, 3)))
    assert session.outputs == ("features", "probs")
    np.testing.assert_allclose(session.run(tiles, "probs", (6, 2)), expected, atol=1e-6)


def test_a_network_that_answers_otherwise_is_named_and_nothing_is_written(
    draft: Draft, tmp_path: Path
) -> None:
    drifting = replace(draft.experts[0], module=Drifting(4))
    wrong = replace(draft, experts=(drifting, draft.experts[1]))
    with pytest.raises(ExportError, match=r"experts/low\.onnx: its graph differs .* by 0\.0"):
        export(wrong, tmp_path / "wrong", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_stage_that_answers_otherwise_is_refused(draft: Draft, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, logs: Tensor) -> Tensor:
            return logs if torch.compiler.is_exporting() else logs.exp()

    router = replace(draft.router, stages=(draft.router.stages[0], Odd()))
    with pytest.raises(ExportError, match=r"router\.onnx: its graph differs"):
        export(replace(draft, router=router), tmp_path / "wrong", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_network_that_torch_cannot_export_is_named(draft: Draft, tmp_path: Path) -> None:
    class Branching(Upscale):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if float(x.mean()) > 0.5 else 1 - x)

    experts = (replace(draft.experts[0], module=Branching(4)), draft.experts[1])
    with pytest.raises(ExportError, match=r"experts/low\.onnx: torch can't export it") as caught:
        export(replace(draft, experts=experts), tmp_path / "wrong", lambda _: None)
    assert "\n" not in str(caught.value)


def test_an_existing_directory_is_refused_before_any_work(draft: Draft, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(BundleError, match="exists already"):
        export(draft, tmp_path, told.append)
    assert not told


@pytest.mark.parametrize("label", [{"name": "Two Words"}, {"version": "1"}])
def test_a_label_that_no_bundle_can_bear_is_refused_before_any_work(
    draft: Draft, tmp_path: Path, label: dict[str, str]
) -> None:
    told: list[str] = []
    with pytest.raises(ExportError, match=r"is no (name|version) for a bundle"):
        export(replace(draft, **label), tmp_path / "out", told.append)
    assert not told


def test_a_fuser_with_two_numbers_of_candidates_is_refused(draft: Draft, tmp_path: Path) -> None:
    routes = draft.routes | {"COMPLEX": (("low", "high", "high"), "mean")}
    with pytest.raises(ExportError, match=r"fuser mean: routes give it \[2, 3\] candidates"):
        export(replace(draft, routes=routes), tmp_path / "out", lambda _: None)


def test_the_manifest_carries_the_macs_of_the_draft(bundle: Bundle) -> None:
    assert bundle.manifest.expert("low").macs == 540


def test_the_dearest_expert_costs_one_and_the_cheaper_less(bundle: Bundle) -> None:
    low, high = (bundle.manifest.expert(name).cost for name in ("low", "high"))
    assert 0 < low < high == 1


@pytest.mark.parametrize("graph", ["router.onnx", "experts/low.onnx", "fusers/mean.onnx"])
def test_a_graph_keeps_no_trace_of_the_machine_that_made_it(bundle: Bundle, graph: str) -> None:
    content = bundle.graph(graph)
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


@pytest.mark.parametrize("graph", ["router.onnx", "experts/low.onnx"])
def test_a_graph_uses_the_one_opset(bundle: Bundle, graph: str) -> None:
    model = onnx.load_from_string(bundle.graph(graph))
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSETS[""]


def test_exporting_twice_gives_the_same_bytes(bundle: Bundle, draft: Draft, tmp_path: Path) -> None:
    again = export(draft, tmp_path / "again", lambda _: None)
    assert again.manifest.files == bundle.manifest.files


def test_the_manifest_says_where_the_bundle_comes_from(bundle: Bundle) -> None:
    made = bundle.manifest.made
    assert made.recipe == {"seed": 1}
    assert made.scores["cells"] == 48
    assert set(made.scores["parity"]) == set(bundle.manifest.files)
    assert {"torch", "onnx", "onnxruntime", "skl2onnx", "scikit-learn"} <= set(made.versions)


def test_exporting_is_silent(
    draft: Draft, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    tiles = torch.from_numpy(textured_tiles(2, CELL, CELL, seed=1))
    axes = ("n", None, "h", "w"), ("n", None, "H", "W")
    to_bytes(from_torch(Upscale(4), tiles, ("tiles", "upscaled"), axes, "expert"))
    to_bytes(from_sklearn(draft.router.stages[0], 3, ("features", "errors"), "router"))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not list(recwarn)


def test_a_parametrised_weight_is_exported_as_numbers_and_stays_parametrised() -> None:
    network = nn.Sequential(weight_norm(nn.Conv2d(3, 3, 3, padding=1)))
    tiles = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(tiles)
    graph = expert_graph(network, tiles, "normed")
    assert [node.op_type for node in onnx.load_from_string(graph).graph.node] == ["Conv"]
    (answer,) = InferenceSession(graph).run(None, {"tiles": tiles.numpy()})
    np.testing.assert_allclose(answer, before.numpy(), atol=1e-5)
    assert is_parametrized(network[0])
    torch.testing.assert_close(network(tiles), before)
