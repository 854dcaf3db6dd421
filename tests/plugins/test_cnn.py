"""The router that learns its own features, on generated tiles."""

import numpy as np
import onnxruntime
import pytest
import torch

from mmsr_cnn import register_classifiers, register_extractors
from mmsr_cnn.pixels import Pixels, side_of
from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import RouterData
from mmsr_core.plugin.stages import apply
from mmsr_core.plugin.testing import check_classifier, check_extractor
from mmsr_onnx.graphs import from_torch, to_bytes

(PIXELS,), (NETWORK,) = register_extractors(), register_classifiers()
CLASSES = ("SIMPLE", "MODERATE", "COMPLEX")


def make_data(n=600, side=8, seed=0):
    """Noise of growing strength: the cheap routes lose in proportion to it, and by its square."""
    rng = np.random.default_rng(seed)
    strength = rng.uniform(0, 0.4, n)
    tiles = (0.5 + strength[:, None, None, None] * rng.uniform(-1, 1, (n, 3, side, side))).clip(
        0, 1
    )
    pixels = Pixels(side)
    errors = 1e-3 * np.stack([0.1 + 8 * strength**2, 0.1 + 2 * strength**2, 0.1 + 0 * strength], 1)
    return RouterData(
        features=pixels(torch.from_numpy(tiles.astype(np.float32))).numpy(),
        names=pixels.names,
        errors=errors,
        labels=np.zeros(n, np.int64),
        costs=np.array([0.1, 0.4, 1.0]),
        images=np.zeros(n, np.int64),
        shapes=np.array([[side, side * n]]),
        photos=np.array([0]),
        classes=CLASSES,
    )


def test_the_pixels_and_the_network_keep_their_contracts():
    check_extractor(PIXELS)
    check_extractor(PIXELS, side=10)
    check_classifier(NETWORK, epochs=2)
    check_classifier(NETWORK, names=Pixels(4).names, epochs=1)


def test_pixels_are_the_tile_or_its_average():
    tiles = torch.rand(2, 3, 8, 8)
    assert torch.equal(Pixels(8)(tiles), tiles.flatten(1))
    assert torch.allclose(Pixels(4)(tiles)[:, 0], tiles[:, 0, :2, :2].mean((1, 2)))


@pytest.mark.parametrize("side", [3, 37])
def test_a_side_that_a_bundle_could_not_take_is_refused(side):
    with pytest.raises(PluginError, match="4 to 36"):
        PIXELS.build(side=side)


def test_only_pixels_have_a_side():
    assert side_of(Pixels(5).names) == 5
    assert side_of(("tvat", "mean", "contrast")) is None
    assert side_of(Pixels(5).names[:-1]) is None


def test_the_network_learns_the_errors_from_pixels_that_it_has_not_seen():
    learnt, unseen = make_data(), make_data(200, seed=1)
    told = apply(NETWORK.fit(learnt, seed=0, width=8, epochs=40), unseen.features)
    constant = learnt.errors.mean(0)
    for route in (0, 1):
        wrong = np.square(told[:, route] - unseen.errors[:, route]).mean()
        assert wrong < 0.2 * np.square(constant[route] - unseen.errors[:, route]).mean()


def test_the_mean_of_what_it_says_is_the_mean_error():
    data = make_data()
    told = apply(NETWORK.fit(data, seed=0, width=8, batch=32), data.features)
    assert np.allclose(told.mean(0), data.errors.mean(0), rtol=0.1)


def test_a_gap_that_is_a_thousandth_of_the_errors_is_learnt():
    learnt, unseen = make_data(), make_data(200, seed=1)
    for data in (learnt, unseen):  # the middle route loses next to nothing against the dearest
        data.errors[:, 1] = data.errors[:, 2] + 1e-3 * data.errors[:, 0]
    told = apply(NETWORK.fit(learnt, seed=0, epochs=20), unseen.features)
    gap, truth = (errors[:, 1] - errors[:, 2] for errors in (told, unseen.errors))
    assert np.square(gap - truth).mean() < 0.3 * truth.var()


def test_flat_tiles_are_not_taken_for_worse_than_they_are():
    learnt, unseen = make_data(), make_data(200, seed=1)
    for data in (learnt, unseen):  # errors over four decades, which the tile shows
        data.errors[:, 0] = data.errors[:, 2] + 0.1 * data.features.var(1) ** 1.5
    told = apply(NETWORK.fit(learnt, seed=0, epochs=40), unseen.features)
    gap, truth = (errors[:, 0] - errors[:, 2] for errors in (told, unseen.errors))
    flat = truth < np.quantile(truth, 0.25)
    assert gap[flat].mean() < 2 * truth[flat].mean()


def test_a_cheaper_route_may_be_the_better_one():
    data = make_data(200)
    data.errors[:, 1] = 0.5 * data.errors[:, 2]
    told = apply(NETWORK.fit(data, seed=0, epochs=40), data.features)
    assert np.allclose(told[:, 1].mean(), told[:, 2].mean(), rtol=0.1)
    assert abs(told[:, 0].mean() / data.errors[:, 0].mean() - 1) < 0.2


def test_the_network_answers_alike_as_a_graph():
    data = make_data(100)
    (network,) = NETWORK.fit(data, seed=0, width=4, epochs=1)
    axes = ("n", None), ("n", None)
    example = torch.from_numpy(data.features[:4])
    graph = to_bytes(from_torch(network, example, ("features", "errors"), axes, "graph"))
    session = onnxruntime.InferenceSession(graph)
    (found,) = session.run(["errors"], {"features": data.features[4:11]})
    assert np.allclose(found, apply([network], data.features[4:11]), rtol=1e-4)


def test_fitting_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    NETWORK.fit(make_data(50), seed=0, epochs=1)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"epochs": 0}, {"batch": 0}, {"rate": 0.0}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(PluginError, match="above 0"):
        NETWORK.fit(make_data(20), seed=0, **wrong)
