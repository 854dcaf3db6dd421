"""The built-in router parts and fusers answer alike in Python and as graphs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmsr_core.plugin.components import RouterData
from mmsr_core.runtime.session import Device, Session
from mmsr_forest import register_classifiers
from mmsr_fusion import register_fusers
from mmsr_onnx.graphs import chain, from_sklearn, from_torch, to_bytes
from mmsr_onnx.parity import check_network, check_router, textured_tiles
from mmsr_texture import register_extractors
from mmsr_texture.network import FEATURES

CELL = 16
TILES = textured_tiles(120, CELL, CELL, seed=5)
CLASSES = ("SIMPLE", "MODERATE", "COMPLEX")


@pytest.fixture(scope="module")
def texture():
    (extractor,) = register_extractors()
    return extractor.build(features=FEATURES).eval()


@pytest.fixture(scope="module")
def features_graph(texture):
    axes = ("n", None, None, None), ("n", None)
    names = ("tiles", "features")
    return from_torch(texture, torch.from_numpy(TILES[:2]), names, axes, "texture")


@pytest.fixture(scope="module")
def data(texture):
    with torch.no_grad():
        features = texture(torch.from_numpy(TILES)).numpy()
    ranks = features[:, 0].argsort().argsort()
    errors = np.random.default_rng(0).uniform(1e-5, 1e-3, (len(TILES), 3))
    return RouterData(
        features=features,
        names=FEATURES,
        errors=errors,
        labels=3 * ranks // len(TILES),
        costs=np.array([0.1, 0.4, 1.0]),
        images=np.zeros(len(TILES), np.int64),
        shapes=np.array([[CELL, CELL * len(TILES)]]),
        photos=np.array([0]),
        classes=CLASSES,
    )


def test_every_texture_feature_of_a_flat_tile_is_finite_as_a_graph(features_graph):
    flat = np.full((3, 3, CELL, CELL), 0.5, np.float32)
    session = Session(to_bytes(features_graph), Device("cpu", "test"), "texture")
    assert np.isfinite(session.run(flat, "features", (3, len(FEATURES)))).all()


@pytest.mark.parametrize("name", ["forest", "forest-gain", "tvat-threshold"])
def test_a_router_of_built_in_parts_answers_alike_as_a_graph(texture, features_graph, data, name):
    (classifier,) = (c for c in register_classifiers() if c.name == name)
    options = {"calibrate": "quantile"} if name == "tvat-threshold" else {"trees": 10}
    # No tile is MODERATE: its column has to survive the export as well.
    seen = data if name == "tvat-threshold" else replace(data, labels=data.labels // 2 * 2)
    stages = classifier.fit(seen, seed=0, **options)
    graphs, columns = [features_graph], len(FEATURES)
    for place, stage in enumerate(stages):
        last = place == len(stages) - 1
        source = "features" if place == 0 else "middle"
        names = (source, classifier.output if last else "middle")
        if isinstance(stage, torch.nn.Module):
            axes = ("n", None), ("n", None)
            graphs.append(from_torch(stage, torch.zeros(2, columns), names, axes, name))
        else:
            graphs.append(from_sklearn(stage, columns, names, name))
            columns = len(getattr(stage, "classes_", CLASSES))
    graph = to_bytes(chain(graphs, keep="features"))
    check_router(texture, stages, classifier.output, graph, [TILES, TILES[:1]], name)


@pytest.mark.parametrize("name", ["edge", "mean"])
def test_a_built_in_fuser_answers_alike_as_a_graph(name):
    (fuser,) = (f for f in register_fusers() if f.name == name)
    module = fuser.build(scale=2).eval()
    candidates = TILES[:20].reshape(10, 2, 3, CELL, CELL)
    axes = ("n", None, None, "h", "w"), ("n", None, "h", "w")
    example = torch.from_numpy(candidates[:2])
    graph = to_bytes(from_torch(module, example, ("candidates", "fused"), axes, name))
    check_network(module, graph, [candidates, candidates[:1, :, :, :5, :9]], name)
