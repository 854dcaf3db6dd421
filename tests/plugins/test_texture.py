"""Features against plain loops that are written from the papers' equations."""

import numpy as np
import pytest
import torch

from mmsr_core.errors import PluginError
from mmsr_texture import PAPER, register_extractors
from mmsr_texture.network import FEATURES, WINDOW

THRESHOLD, LIMIT = 0.5, 1.3


def build(**options):
    (extractor,) = register_extractors()
    return extractor.build(**options).eval()


def run(module, tiles):
    with torch.no_grad():
        return module(torch.as_tensor(tiles, dtype=torch.float32)).numpy()


def naive(tile):
    """Every feature of one tile (3,t,t) in [0,1], pixel by pixel, with values in [-1,1]."""
    t = tile.shape[1]
    padded = np.pad(2 * tile - 1, ((0, 0), (1, 1), (1, 1)), mode="edge")
    luma = 0.299 * padded[0] + 0.587 * padded[1] + 0.114 * padded[2]
    found = dict.fromkeys(FEATURES, 0.0)
    for i in range(t):
        for j in range(t):
            window = padded[:, i : i + 3, j : j + 3]
            vsp = ((window[:, 1:2, 1:2] - window) ** 2).sum((1, 2))
            found["tvat"] += vsp.sum() if vsp.sum() >= THRESHOLD else 0
            if (vsp > THRESHOLD).sum() >= 2:
                for channel, name in enumerate(("etvat_r", "etvat_g", "etvat_b")):
                    found[name] += vsp[channel]
            grey = luma[i : i + 3, j : j + 3]
            gx = grey[:, 2] @ [1, 2, 1] - grey[:, 0] @ [1, 2, 1]
            gy = grey[2] @ [1, 2, 1] - grey[0] @ [1, 2, 1]
            edge = np.hypot(gx, gy)
            found["edge_score"] += edge
            found["limited_edge_score"] += edge if edge > LIMIT else 0
            found["edge_max"] = max(found["edge_max"], edge * t * t)
            response = 9 * grey[1, 1] - grey.sum()
            found["laplacian"] += abs(response)
            found["laplacian_energy"] += response**2
            found["laplacian_max"] = max(found["laplacian_max"], abs(response) * t * t)
            found["laplacian_peaks"] += response**4
            found["gradient_x"] += (grey[1, 2] - grey[1, 0]) ** 2
            found["gradient_y"] += (grey[2, 1] - grey[0, 1]) ** 2
    grey = luma[1:-1, 1:-1]
    found = {name: value / t**2 for name, value in found.items()} | structure(luma)
    found["laplacian_peaks"] /= found["laplacian_energy"] ** 2
    for name, factor in (("residual2", 2), ("residual4", 4)):
        found[name] = ((grey - enlarged(shrunk(grey, factor), factor)) ** 2).mean()
    return found | {"mean": grey.mean(), "contrast": grey.std()}


def structure(luma):
    across, down = luma[1:-1, 2:] - luma[1:-1, :-2], luma[2:, 1:-1] - luma[:-2, 1:-1]
    gaps, sums = [], []
    for i in range(len(across) - WINDOW + 1):
        for j in range(len(across) - WINDOW + 1):
            window = slice(i, i + WINDOW), slice(j, j + WINDOW)
            gradients = np.stack([across[window].ravel(), down[window].ravel()])
            low, high = np.linalg.eigvalsh(gradients @ gradients.T / WINDOW**2)
            gaps.append(high - low)
            sums.append(high + low)
    return {
        "oriented": np.mean(gaps),
        "unoriented": np.mean(sums) - np.mean(gaps),
        "oriented_max": max(gaps),
        "coherence": np.sum(gaps) / np.sum(sums),
    }


def shrunk(grey, factor):
    side = len(grey) // factor
    return grey.reshape(side, factor, side, factor).mean((1, 3))


def enlarged(small, factor):
    centres = (np.arange(len(small) * factor) + 0.5) / factor - 0.5
    rows = [np.interp(centres, np.arange(len(small)), column) for column in small.T]
    columns = np.stack(rows, axis=1)
    return np.stack([np.interp(centres, np.arange(len(small)), row) for row in columns])


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_what_its_equation_says(feature):
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.3 * np.sin(np.arange(12)[None, :, None] * 0.9 + np.arange(12))
    tiles = np.stack([rng.random((3, 12, 12)), wave.repeat(3, 0), 0.2 * rng.random((3, 12, 12))])
    module = build(features=[feature], threshold=THRESHOLD, edge_limit=LIMIT)
    expected = [[naive(tile)[feature]] for tile in tiles]
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(run(module, tiles), expected, rtol=1e-4, atol=1e-5)


def test_the_default_features_are_the_five_of_the_paper():
    assert build().names == PAPER == FEATURES[1:6]


def test_a_flat_tile_has_no_texture():
    flat = torch.full((1, 3, 32, 32), 0.7) * torch.tensor([1, 0.5, 0.3]).reshape(1, 3, 1, 1)
    features = [name for name in FEATURES if name != "mean"]
    np.testing.assert_allclose(run(build(features=features), flat), 0, atol=1e-5)


def test_features_come_in_the_asked_order():
    tiles = np.random.default_rng(0).random((4, 3, 16, 16))
    everything = run(build(features=FEATURES), tiles)
    asked = ["contrast", "etvat_g", "tvat", "residual4", "etvat_r"]
    module = build(features=asked)
    assert list(module.names) == asked
    places = [FEATURES.index(name) for name in asked]
    np.testing.assert_array_equal(run(module, tiles), everything[:, places])


def test_a_tile_does_not_depend_on_its_batch():
    tiles = np.random.default_rng(0).random((5, 3, 16, 16))
    module = build(features=FEATURES)
    alone = np.concatenate([run(module, tile[None]) for tile in tiles])
    np.testing.assert_allclose(run(module, tiles), alone, rtol=1e-5, atol=1e-6)


def test_a_mean_over_pixels_does_not_depend_on_the_size_of_the_tile():
    stripes = np.zeros((1, 3, 32, 32))
    stripes[..., np.arange(32) % 4 < 2] = 1
    ratio = run(build(), stripes[..., :16, :16]) / run(build(), stripes)
    np.testing.assert_allclose(ratio, 1, rtol=0.1)  # only the border's share differs


def test_the_range_of_values_scales_what_is_squared_twice():
    tiles = np.random.default_rng(0).random((2, 3, 16, 16))
    names = ["tvat", "edge_score", "residual2", "mean"]
    options = {"features": names, "threshold": 0.0, "edge_limit": 0.0}
    unit = run(build(value_range=(0, 1), **options), tiles)
    wide = run(build(value_range=(-1, 1), **options), tiles)
    np.testing.assert_allclose(wide[:, :3], unit[:, :3] * [4, 2, 4], rtol=1e-4)
    np.testing.assert_allclose(wide[:, 3], 2 * unit[:, 3] - 1, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": ["tvta"]}, 'no texture feature named "tvta".*did you mean "tvat"'),
        ({"features": []}, "have to be some"),
        ({"features": ["mean", "mean"]}, "each once"),
        ({"threshold": -1.0}, "0 or more"),
        ({"edge_limit": -0.1}, "0 or more"),
        ({"value_range": (1.0, 0.0)}, "two rising numbers"),
        ({"value_range": (0.0,)}, "two rising numbers"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_one_line(options, message):
    with pytest.raises(PluginError, match=message) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def test_all_stands_for_every_feature():
    assert build(features="all").names == FEATURES
