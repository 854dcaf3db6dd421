"""Forests and thresholds on generated router data."""

import numpy as np
import pytest

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import RouterData
from mmsr_core.plugin.stages import apply
from mmsr_forest import register_classifiers

CLASSES = ("SIMPLE", "MODERATE", "COMPLEX")
SMALL = {"trees": 10, "depth": 5, "leaf": 2}


def fit(name, data, seed=0, **options):
    (classifier,) = (c for c in register_classifiers() if c.name == name)
    return classifier.fit(data, seed=seed, **options)


def make_data(labels=None, classes=CLASSES, costs=(0.1, 0.4, 1.0)):
    """Texture in [0,6] beside noise; the more texture, the more the cheap routes lose."""
    rng = np.random.default_rng(0)
    count, routes = 300, len(classes)
    texture = rng.uniform(0, 6, count)
    loss = np.outer(texture, np.arange(routes)[::-1])
    if labels is None:
        labels = np.minimum(texture // 2, routes - 1).astype(int)
    return RouterData(
        features=np.stack([rng.random(count), texture], axis=1).astype(np.float32),
        names=("noise", "tvat"),
        errors=1e-4 * np.exp(0.5 * loss),
        labels=labels,
        costs=np.array(costs),
        images=np.zeros(count, int),
        shapes=np.array([[32, 32 * count]]),
        photos=np.array([0]),
        classes=classes,
    )


def test_a_forest_learns_the_labels():
    data = make_data()
    probs = apply(fit("forest", data, **SMALL), data.features)
    assert (probs.argmax(1) == data.labels).mean() > 0.95
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(("seen", "unseen"), [([0, 2], 1), ([1, 2], 0), ([0, 1], 2)])
def test_a_class_without_a_tile_keeps_its_column(seen, unseen):
    labels = np.array(seen)[(make_data().features[:, 1] > 3).astype(int)]
    data = make_data(labels)
    probs = apply(fit("forest", data, **SMALL), data.features)
    assert probs.shape == (300, 3)
    assert np.all(probs[:, unseen] == 0)
    assert (probs.argmax(1) == labels).mean() > 0.95


def test_a_single_class_is_always_chosen():
    data = make_data(np.full(300, 1))
    probs = apply(fit("forest", data, **SMALL), data.features)
    np.testing.assert_array_equal(probs, np.tile([0, 1, 0], (300, 1)))


@pytest.mark.parametrize("costs", [(0.1, 0.4, 1.0), (1.0, 0.1, 0.4)])
def test_expected_errors_come_in_class_order_whichever_route_is_dearest(costs):
    data = make_data(costs=costs)
    errors = apply(fit("forest-gain", data, **SMALL), data.features)
    assert errors.shape == data.errors.shape
    assert np.median(np.abs(np.log(errors / data.errors))) < 0.1


def test_an_error_of_zero_has_a_floor():
    data = make_data()
    data.errors[:] = 0
    errors = apply(fit("forest-gain", data, **SMALL), data.features)
    np.testing.assert_allclose(errors, 1e-8, rtol=1e-3)


def test_fitting_leaves_the_data_as_it_was():
    data = make_data()
    before = data.errors.copy()
    fit("forest-gain", data, **SMALL)
    np.testing.assert_array_equal(data.errors, before)


def test_a_forest_for_a_single_route_gives_one_column():
    data = make_data(classes=("ALL",), costs=(1.0,))
    assert apply(fit("forest-gain", data, **SMALL), data.features).shape == (300, 1)


@pytest.mark.parametrize("name", ["forest", "forest-gain"])
def test_the_same_seed_gives_the_same_forest_and_another_another(name):
    data = make_data()
    one, same, other = (
        apply(fit(name, data, seed=seed, **SMALL), data.features) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("option", ["trees", "depth", "leaf"])
def test_a_forest_of_nothing_is_refused(option):
    with pytest.raises(PluginError, match=f"{option} has to be 1 or more, not 0"):
        fit("forest", make_data(), **{**SMALL, option: 0})


def test_bands_of_tvat_are_classes_and_a_threshold_belongs_to_the_band_above():
    stages = fit("tvat-threshold", make_data())
    features = np.array([[9, 0], [9, 1.99], [9, 2], [9, 3.9], [9, 4], [9, 50]], np.float32)
    expected = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    np.testing.assert_array_equal(apply(stages, features), expected)


def test_quantiles_give_every_class_its_share_of_the_labels():
    labels = np.repeat([0, 1, 2], [60, 150, 90])
    data = make_data(labels)
    probs = apply(fit("tvat-threshold", data, calibrate="quantile"), data.features)
    np.testing.assert_allclose(probs.sum(0), [60, 150, 90], atol=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": [1.0]}, "3 classes need 2 thresholds of tvat, not 1"),
        ({"thresholds": [4.0, 2.0]}, "have to rise"),
        ({"calibrate": "median"}, 'no calibration "median"; there are given and quantile'),
    ],
)
def test_thresholds_that_make_no_bands_are_refused(options, message):
    with pytest.raises(PluginError, match=message):
        fit("tvat-threshold", make_data(), **options)


def test_thresholds_without_the_feature_say_what_to_add():
    data = make_data()
    without = RouterData(**{**vars(data), "names": ("noise", "contrast")})
    with pytest.raises(PluginError, match='need the feature "tvat"; there are noise, contrast'):
        fit("tvat-threshold", without)


def test_the_edge_threshold_has_bands_of_the_edge_score():
    labels = np.repeat([0, 1, 2], [60, 150, 90])
    data = RouterData(**{**vars(make_data(labels)), "names": ("edge_score", "tvat")})
    probs = apply(fit("edge-threshold", data), data.features)
    np.testing.assert_allclose(probs.sum(0), [60, 150, 90], atol=1)
    assert data.features[probs[:, 0] == 1, 0].max() < data.features[probs[:, 2] == 1, 0].min()
    stages = fit("edge-threshold", data, thresholds=[0.25, 0.75], calibrate="given")
    np.testing.assert_array_equal(apply(stages, data.features)[:, 2], data.features[:, 0] >= 0.75)
