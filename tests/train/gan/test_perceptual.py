import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Extractor
from mmsr_core.train.gan.encoder import save_encoder
from mmsr_core.train.gan.perceptual import VGG19, load_features, perceptual_loss

WIDTHS = (2, 2, "pool", 3, 3, "pool", 4, 4, 4, 4, "pool", 5, 5, 5, 5, "pool", 5, 5, 5, 5)
"""VGG19's layers up to conv5_4, thin."""


def thin_vgg19():
    """Weights as torchvision names them, whose layers beyond conv5_4 are there too."""
    generator = torch.Generator().manual_seed(0)
    weights, index, channels = {}, 0, 3
    for width in WIDTHS:
        if width == "pool":
            index += 1
            continue
        shape = (width, channels, 3, 3)
        weights[f"features.{index}.weight"] = torch.randn(shape, generator=generator) / 3
        weights[f"features.{index}.bias"] = torch.randn(width, generator=generator) / 3
        channels, index = width, index + 2
    weights["classifier.0.weight"] = torch.zeros(2, 5)
    return weights


def by_hand(weights, images):
    """The same features, layer by layer."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean[:, None, None]) / deviation[:, None, None]
    names = [name for name in weights if name.endswith("weight") and "features" in name]
    for place, name in enumerate(names):
        x = F.conv2d(x, weights[name], weights[name.replace("weight", "bias")], padding=1)
        if place + 1 < len(names):
            x = F.relu(x)
        if place + 1 in (2, 4, 8, 12):
            x = F.max_pool2d(x, 2)
    return x


class Toy(nn.Module):
    names = ("mean",)

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 2, 3), nn.Conv2d(2, 4, 3, stride=2)

    def maps(self, images):
        one = self.first(images).relu()
        return [one, self.second(one)]


class Mapless(nn.Module):
    names = ("mean",)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)


CATALOG = Catalog(
    tuple(
        Entry("extractor", Extractor(name=name, summary="", build=build), "test")
        for name, build in (("toy", lambda: Toy()), ("mapless", lambda: Mapless()))
    )
)


def load(features, base):
    return load_features(features, CATALOG, base)


def test_none_is_no_network_and_needs_no_reason(tmp_path):
    assert load("none", tmp_path) == (None, None)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_file_of_vgg19_weights_gives_conv5_4_before_its_activation(tmp_path, kind):
    weights = thin_vgg19()
    if kind == "pth":
        torch.save(weights, tmp_path / "vgg.pth")
    else:
        save_file(weights, tmp_path / "vgg.safetensors")
    network, reason = load(f"vgg.{kind}", tmp_path)
    images = torch.rand(2, 3, 48, 33)
    (found,) = network.maps(images)
    assert reason is None
    assert found.shape == (2, 5, 3, 2)
    assert found.min() < 0
    torch.testing.assert_close(found, by_hand(weights, images))


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    torch.save(thin_vgg19(), tmp_path / "vgg.pth")
    network, _ = load(str(tmp_path / "vgg.pth"), tmp_path / "elsewhere")
    assert isinstance(network, VGG19)


def test_the_network_is_frozen_and_in_eval_mode(tmp_path):
    torch.save(thin_vgg19(), tmp_path / "vgg.pth")
    network, _ = load("vgg.pth", tmp_path)
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_an_encoder_file_gives_the_maps_of_its_extractor(tmp_path):
    module = Toy()
    save_encoder(tmp_path / "toy.safetensors", module, "toy", {})
    network, reason = load("toy.safetensors", tmp_path)
    images = torch.rand(2, 3, 16, 16)
    assert reason is None
    for got, wanted in zip(network.maps(images), module.maps(images), strict=True):
        torch.testing.assert_close(got, wanted)


def test_an_extractor_without_maps_is_refused(tmp_path):
    save_encoder(tmp_path / "encoder.safetensors", Mapless(), "mapless", {})
    with pytest.raises(RecipeError, match="extractor mapless gives no feature maps"):
        load("encoder.safetensors", tmp_path)


def test_a_file_that_is_not_there_is_told_what_could_be(tmp_path):
    with pytest.raises(RecipeError, match=r'features "vgg91": no file .*; give "none", "vgg19"'):
        load("vgg91", tmp_path)


class Evil:
    def __reduce__(self):
        return (sys.exit, (1,))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"features.0.weight": torch.zeros(4, 3, 3, 3)}, r"a VGG19, they have no features\.0\.b"),
        (thin_vgg19() | {"features.2.weight": torch.zeros(4, 1, 3, 3)}, r"\(4, 1, 3, 3\), not"),
        (thin_vgg19() | {"features.5.bias": torch.zeros(7)}, "size mismatch for features.5.bias"),
        ({"conv1.weight": torch.zeros(2)}, r"they have no features\.0\.weight"),
        ({"epoch": 3}, "not a state dict"),
        ([torch.zeros(2)], "not a state dict"),
        (Evil(), "not a file of weights"),
        (b"text", "not a file of weights"),
        (b"", "not a file of weights"),
    ],
)
def test_a_file_that_is_not_of_vgg19_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "odd.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(RecipeError, match=said) as caught:
        load("odd.pth", tmp_path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def torchvision(monkeypatch, get_state_dict):
    """A torchvision whose VGG19 weights come from `get_state_dict`."""
    models = ModuleType("torchvision.models")
    weights = SimpleNamespace(get_state_dict=get_state_dict)
    models.VGG19_Weights = SimpleNamespace(IMAGENET1K_V1=weights)
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_vgg19_is_torchvision_s_where_it_can_be_had(monkeypatch, tmp_path):
    asked = []
    torchvision(monkeypatch, lambda **options: asked.append(options) or thin_vgg19())
    network, reason = load("vgg19", tmp_path)
    assert reason is None
    assert asked == [{"progress": False, "check_hash": True, "weights_only": True}]
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network.maps(images)[0], by_hand(thin_vgg19(), images))


def test_vgg19_without_torchvision_is_no_network_and_a_reason(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    network, reason = load("vgg19", tmp_path)
    assert network is None
    assert "vgg19 needs torchvision" in reason


def test_vgg19_that_cannot_be_downloaded_is_no_network_and_a_reason(monkeypatch, tmp_path):
    def fail(**options):
        raise OSError("no\nroute to host")

    torchvision(monkeypatch, fail)
    network, reason = load("vgg19", tmp_path)
    assert network is None
    assert reason.endswith("can't be downloaded (no route to host)")


def test_the_loss_is_the_mean_difference_averaged_over_the_maps():
    network = Toy()
    sr, hr = torch.rand(2, 2, 3, 16, 16)
    one, other = (network.maps(images) for images in (sr, hr))
    wanted = sum((a - b).abs().mean() for a, b in zip(one, other, strict=True)) / 2
    torch.testing.assert_close(perceptual_loss(network, sr, hr), wanted)
    assert perceptual_loss(network, hr, hr) == 0


def test_the_gradient_goes_to_the_answer_alone():
    network = Toy().requires_grad_(False)
    sr, hr = (torch.rand(2, 3, 16, 16, requires_grad=True) for _ in range(2))
    perceptual_loss(network, sr, hr).backward()
    assert sr.grad.any()
    assert hr.grad is None


def test_a_pixel_out_of_range_has_a_gradient_to_come_back_by():
    network = VGG19(thin_vgg19()).requires_grad_(False)
    sr = (torch.rand(1, 3, 32, 32) + 1).requires_grad_()
    perceptual_loss(network, sr, torch.rand(1, 3, 32, 32)).backward()
    assert sr.grad.any()


def test_the_loss_is_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        loss = perceptual_loss(Toy(), torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
    assert loss.dtype == torch.float32
