import json
from importlib.metadata import EntryPoint

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.errors import MmsrError, RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.testing import check_extractor
from mmsr_core.train.gan.encoder import load_encoder
from mmsr_core.train.gan.perceptual import load_features, perceptual_loss
from mmsr_massrl.axes import fit_axes, principal_axes
from mmsr_massrl.encoder import Config, Encoder, read_encoder, save_encoder

POINTS = [EntryPoint(name, f"mmsr_{name}", "mmsr") for name in ("compact", "forest", "massrl")]
POINTS.append(EntryPoint("texture", "mmsr_texture", "mmsr"))
CATALOG = Catalog.load(POINTS)
MASSRL = CATALOG.extractor("massrl")
TILES = torch.rand(300, 3, 32, 32, generator=torch.Generator().manual_seed(1))
TILES *= torch.linspace(0.1, 1, 300)[:, None, None, None]
RECIPE = """
name = "tiny-x2"
scale = 2
data = [{{ folder = "photos" }}]
split = {{ experts = 0.5, router = 0.25, test = 0.25 }}
tiles = {{ cell = 16, halo = 2 }}
training = {{ steps = 2, batch = 1, patch = 8 }}
routes = {{ FLAT = "floor", REST = "small" }}

[router]
folds = 2
classifier = {{ name = "forest", options = {{ trees = 2 }} }}
beside = [{{ name = "massrl", options = {options} }}]

[[experts]]
name = "floor"
backbone = "bicubic"

[[experts]]
name = "small"
backbone = "compact"
depth = 1
options = {{ channels = 4 }}
"""


def write_encoder(path, seed=0, config=Config()):  # noqa: B008  # frozen
    torch.manual_seed(seed)
    encoder = Encoder(config).eval()
    with torch.no_grad():
        fit_axes(encoder, encoder(TILES))
    save_encoder(path, encoder, "noise")
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tile.safetensors")


def test_the_extractor_keeps_its_contract_untrained_trained_and_by_components(weights):
    check_extractor(MASSRL)
    check_extractor(MASSRL, weights=str(weights))
    check_extractor(MASSRL, weights=str(weights), components=8)


def test_a_trained_extractor_is_the_encoder_of_its_file_frozen(weights):
    module = MASSRL.build(weights=str(weights)).eval()
    encoder, facts = read_encoder(weights)
    with torch.no_grad():
        assert torch.equal(module(TILES[:4]), encoder(TILES[:4]))
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert module.names[0] == f"massrl_{facts.sha256[:8]}_0"


def test_components_are_uncorrelated_of_variance_one_and_mean_zero(weights):
    module = MASSRL.build(weights=str(weights), components=8).eval()
    with torch.no_grad():
        features = module(TILES).double()
    assert len(module.names) == 8
    assert features.mean(0).abs().max() < 1e-3
    assert torch.allclose(features.T.cov().mT, torch.eye(8).double(), atol=1e-2)


def test_components_come_in_the_order_of_their_variance():
    data = torch.randn(500, 3) * torch.tensor([1.0, 5.0, 2.0])
    mean, axes = principal_axes(data)
    assert torch.allclose(mean, data.mean(0), atol=1e-4)
    assert axes.abs().argmax(1).tolist() == [1, 2, 0]
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_a_direction_without_variance_is_not_blown_up():
    data = torch.randn(100, 1) * torch.ones(1, 3)
    _, axes = principal_axes(data)
    assert axes[1:].abs().max() == 0


@pytest.mark.parametrize(
    ("embeddings", "match"), [(torch.ones(9, 3), "collapsed"), (torch.ones(1, 3), "not 1")]
)
def test_embeddings_without_axes_are_refused(embeddings, match):
    with pytest.raises(MmsrError, match=match):
        principal_axes(embeddings)


def test_options_that_contradict_the_file_are_refused(weights):
    with pytest.raises(MmsrError, match="it is tile of width 1 with a small stem"):
        MASSRL.build(weights=str(weights), width=2.0)


@pytest.mark.parametrize("components", [-1, 65])
def test_components_that_the_encoder_has_not_are_refused(weights, components):
    with pytest.raises(MmsrError, match="has 1 to 64"):
        MASSRL.build(weights=str(weights), components=components)


def test_an_encoder_file_is_a_feature_network_of_the_perceptual_loss(weights):
    network, reason = load_features(weights.name, CATALOG, weights.parent)
    assert reason is None
    sr = TILES[:2].clone().requires_grad_()
    perceptual_loss(network, sr, TILES[2:4]).backward()
    assert sr.grad.abs().max() > 0
    assert perceptual_loss(network, TILES[:2], TILES[:2]) == 0


def test_the_core_loads_the_file_as_the_plugin_does(weights):
    with torch.no_grad():
        theirs = load_encoder(weights, CATALOG)(TILES[:4])
        assert torch.equal(theirs, read_encoder(weights)[0](TILES[:4]))


@pytest.fixture
def mmsr(monkeypatch):
    """mmsr(*args): the command in this process, with these plugins."""
    monkeypatch.setattr(Catalog, "load", classmethod(lambda cls: CATALOG))
    return lambda *args: CliRunner().invoke(main, [*map(str, args)], prog_name="mmsr")


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 56, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), pixels)
    return tmp_path


def options(**values):
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"


def test_beside_texture_it_trains_exports_and_answers_in_the_router_graph(photos, mmsr):
    weights = write_encoder(photos / "tile.safetensors")
    recipe = photos / "tiny.toml"
    recipe.write_text(RECIPE.format(options=options(weights=str(weights), components=4)))
    trained = mmsr("train", recipe, "--out", photos / "run")
    assert trained.exit_code == 0, trained.stderr
    exported = mmsr("export", photos / "run", "--onnx", "--out", photos / "bundle")
    assert exported.exit_code == 0, exported.stderr
    manifest = json.loads((photos / "bundle" / "manifest.json").read_text())
    features = manifest["router"]["features"]
    assert 0 < manifest["router"]["cost"] < 1e3
    digest = read_encoder(weights)[1].sha256[:8]
    assert features[5:] == [f"massrl_{digest}_{index}" for index in range(4)]
    session = onnxruntime.InferenceSession(photos / "bundle" / "router.onnx")
    module = MASSRL.build(weights=str(weights), components=4).eval()
    tiles = TILES[:6, :, :16, :16].contiguous()
    found = session.run(["features"], {"tiles": tiles.numpy()})[0]
    with torch.no_grad():
        assert np.allclose(found[:, 5:], module(tiles).numpy(), atol=1e-3)


def test_another_encoder_than_the_router_learned_from_is_refused_at_export(photos, mmsr):
    weights = write_encoder(photos / "tile.safetensors")
    recipe = photos / "tiny.toml"
    recipe.write_text(RECIPE.format(options=options(weights=str(weights), components=4)))
    assert mmsr("train", recipe, "--out", photos / "run").exit_code == 0
    write_encoder(weights, seed=1)
    result = mmsr("export", photos / "run", "--onnx", "--out", photos / "bundle")
    assert result.exit_code == 1
    assert "train it again with --resume" in result.stderr
    assert not (photos / "bundle").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "router.beside: massrl learns beforehand"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors: cannot read it"),
        ({"weight": "x"}, 'no option of massrl named "weight"'),
    ],
)
def test_a_recipe_without_usable_weights_is_refused_in_one_line(photos, mmsr, given, said):
    recipe = photos / "tiny.toml"
    recipe.write_text(RECIPE.format(options=options(**given)))
    result = mmsr("train", recipe, "--out", photos / "run")
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (photos / "run").exists()


def test_a_file_that_is_no_encoder_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(RecipeError, match="not a safetensors file"):
        MASSRL.build(weights=str(path))
