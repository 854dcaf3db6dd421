"""Encoders and their files."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.testing import check_extractor
from mmsr_massrl import register_extractors
from mmsr_massrl.encoder import Config, Encoder, load_encoder, read_encoder, save_encoder

(EXTRACTOR,) = register_extractors()


def saved(path, **metadata):
    """An encoder file, some of its metadata replaced."""
    torch.manual_seed(0)
    encoder = Encoder(Config())
    save_encoder(path, encoder, "seven tiles", {"steps": 3})
    if metadata:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            facts = file.metadata() | metadata
        facts = {key: value for key, value in facts.items() if value is not None}
        save_file(load_file(path), path, facts)
    return encoder


@pytest.mark.parametrize(
    ("config", "channels", "parameters"),
    [
        # Without its classifier torchvision's ResNet-18 has 11,176,512, ResNet-50 23,508,032
        # and ResNet-101 42,500,160.
        (Config("resnet18", 1, "large"), 512, 11_176_512),
        (Config("resnet50", 1, "large"), 2048, 23_508_032),
        (Config("resnet101", 1, "large"), 2048, 42_500_160),
        # Its stem has 3·3·3·64 weights in place of 7·7·3·64.
        (Config("resnet18", 1, "small"), 512, 11_176_512 - 40 * 3 * 64),
        (Config("tile"), 64, None),
    ],
    ids=str,
)
def test_an_encoder_has_its_known_size(config, channels, parameters):
    with torch.device("meta"):
        encoder = Encoder(config)
    assert encoder.channels == channels == len(encoder.names)
    if parameters is not None:
        assert sum(weight.numel() for weight in encoder.parameters()) == parameters


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("name", ["tile", "resnet18", "resnet50", "resnet101"])
def test_width_multiplies_the_channels(name, width):
    with torch.device("meta"):
        plain, wide = Encoder(Config(name)), Encoder(Config(name, width))
    assert wide.channels == width * plain.channels


@pytest.mark.parametrize(
    ("config", "sides"),
    [
        (Config("resnet18", 1, "large"), [16, 8, 4, 2]),
        (Config("resnet18", 1, "small"), [64, 32, 16, 8]),
        (Config("tile"), [32, 16, 8]),
    ],
    ids=str,
)
def test_the_maps_shrink_stage_by_stage_and_the_last_ones_mean_is_the_representation(config, sides):
    encoder = Encoder(config).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        maps, features = encoder.maps(images), encoder(images)
    assert [tuple(found.shape[2:]) for found in maps] == [(side, side) for side in sides]
    torch.testing.assert_close(features, maps[-1].mean(dim=(2, 3)))


def test_the_tile_encoder_stays_cheap():
    from torch.utils.flop_counter import FlopCounterMode

    encoder = Encoder(Config())
    with FlopCounterMode(display=False) as counter:
        encoder(torch.rand(1, 3, 48, 48))
    assert counter.get_total_flops() / 2 / 48**2 < 3200


@pytest.mark.parametrize("name", ["tile", "resnet18"])
def test_the_extractor_keeps_its_contract(name):
    check_extractor(EXTRACTOR, encoder=name)


def test_an_encoder_comes_back_from_its_file(tmp_path):
    encoder = saved(tmp_path / "e.safetensors").eval()
    images = torch.rand(2, 3, 32, 32)
    loaded, facts = read_encoder(tmp_path / "e.safetensors")
    assert torch.equal(loaded(images), encoder(images))
    assert facts.config == Config()
    assert facts.note == "seven tiles"
    assert facts.made == {"steps": 3}
    assert not loaded.training


def test_the_perceptual_loss_reads_the_same_file(tmp_path):
    from importlib.metadata import EntryPoint

    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.train.gan.perceptual import load_features, perceptual_loss

    saved(tmp_path / "e.safetensors")
    catalog = Catalog.load([EntryPoint("massrl", "mmsr_massrl", "mmsr")])
    network, reason = load_features("e.safetensors", catalog, tmp_path)
    assert reason is None
    one, other = torch.rand(2, 3, 24, 24, requires_grad=True), torch.rand(2, 3, 24, 24)
    loss = perceptual_loss(network, one, other)
    loss.backward()
    assert loss.item() > 0
    assert one.grad.abs().sum() > 0
    assert perceptual_loss(network, other, other).item() == 0


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"format": "mmsr-encoder/9"}, "not an encoder file of this mmsr"),
        ({"format": None}, "none stated"),
        ({"extractor": "other"}, 'extractor "other"'),
        ({"options": None}, "has no 'options'"),
        ({"options": "["}, "damaged"),
        ({"options": "[1]"}, "damaged"),
        ({"options": json.dumps({"encoder": "resnet9"})}, "resnet9"),
        ({"options": json.dumps({"depth": 3})}, "damaged"),
        ({"options": json.dumps({"encoder": "tile", "width": 2})}, "damaged"),
        ({"sha256": None}, "has no 'sha256'"),
        ({"sha256": "0" * 64}, "weights are not those it states"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, metadata, says):
    path = tmp_path / "e.safetensors"
    saved(path, **metadata)
    with pytest.raises(RecipeError, match=r"e\.safetensors") as caught:
        load_encoder(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(RecipeError, match="cannot read"):
        load_encoder(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(RecipeError, match="not a safetensors file"):
        load_encoder(tmp_path / "text.safetensors")
    saved(tmp_path / "e.safetensors")
    whole = (tmp_path / "e.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecipeError, match="not a safetensors file"):
        load_encoder(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("config", [{"encoder": "vgg"}, {"width": 3}, {"stem": "tiny"}])
def test_an_unknown_encoder_is_refused(config):
    with pytest.raises(RecipeError):
        Config(**config)
