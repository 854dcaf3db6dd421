import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Extractor
from mmsr_core.train.gan.encoder import load_encoder, save_encoder


class Toy(nn.Module):
    """A convolution with statistics, whose map is its answer and whose feature is its mean."""

    names = ("mean",)

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))

    def maps(self, images):
        return [self.layers(images)]

    def forward(self, tiles):
        return self.maps(tiles)[0].mean((1, 2, 3))[:, None]


def build(*, channels=2):
    return Toy(channels)


CATALOG = Catalog((Entry("extractor", Extractor(name="toy", summary="", build=build), "test"),))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "toy.safetensors"


def test_an_encoder_comes_back_with_its_weights_and_statistics(path):
    module = Toy(3).train()
    module(torch.rand(4, 3, 8, 8))
    save_encoder(path, module, "toy", {"channels": 3}, "made for a test")
    again = load_encoder(path, CATALOG)
    tiles = torch.rand(2, 3, 9, 9)
    torch.testing.assert_close(again(tiles), module.eval()(tiles), rtol=0, atol=0)


def test_a_loaded_encoder_is_frozen_and_in_eval_mode(path):
    save_encoder(path, Toy(2), "toy", {})
    module = load_encoder(path, CATALOG)
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())


def test_an_encoder_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(RecipeError, match="cannot write the encoder"):
        save_encoder(tmp_path / "none" / "toy.safetensors", Toy(2), "toy", {})
    assert not list(tmp_path.iterdir())


def test_a_module_of_several_names_for_one_weight_can_be_kept(path):
    module = Toy(2)
    module.layers[1].bias = module.layers[0].bias
    save_encoder(path, module, "toy", {})
    torch.testing.assert_close(load_encoder(path, CATALOG).layers[1].bias, module.layers[0].bias)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "mmsr-encoder/9"}, "format mmsr-encoder/9, wanted mmsr-encoder/1"),
        ({"format": None}, "format none stated"),
        ({"extractor": "toys"}, 'no extractor named "toys".*did you mean "toy"'),
        ({"extractor": None}, "damaged encoder file, it has no 'extractor'"),
        ({"options": '{"chanels": 2}'}, 'no option of toy named "chanels"'),
        ({"options": '{"channels": 3}'}, "size mismatch"),
        ({"options": '{"channels": "two"}'}, "safetensors: "),
        ({"options": "[1]"}, "options"),
        ({"options": "{"}, "safetensors: "),
    ],
)
def test_a_wrong_encoder_file_is_said_to_be_so_in_one_line(path, changes, said):
    metadata = {"format": "mmsr-encoder/1", "extractor": "toy", "options": json.dumps({})}
    kept = {key: value for key, value in (metadata | changes).items() if value is not None}
    save_file(Toy(2).state_dict(), path, kept)
    with pytest.raises(RecipeError, match=said) as caught:
        load_encoder(path, CATALOG)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused(path):
    weights = Toy(2).state_dict()
    del weights["layers.0.bias"]
    metadata = {"format": "mmsr-encoder/1", "extractor": "toy", "options": "{}"}
    save_file(weights, path, metadata)
    with pytest.raises(RecipeError, match=r"Missing key.*layers\.0\.bias"):
        load_encoder(path, CATALOG)


@pytest.mark.parametrize("content", [b"", b"not a header at all, for certain"])
def test_a_file_that_is_no_safetensors_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="not a safetensors file") as caught:
        load_encoder(path, CATALOG)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_named(path):
    save_encoder(path, Toy(2), "toy", {})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RecipeError, match="not a safetensors file"):
        load_encoder(path, CATALOG)


def test_a_missing_file_is_named(path):
    with pytest.raises(RecipeError, match="cannot read it"):
        load_encoder(path, CATALOG)
