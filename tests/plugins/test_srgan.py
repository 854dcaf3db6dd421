import pytest
import torch

from mmsr_core.plugin.testing import check_backbone
from mmsr_onnx.graphs import IMAGE, UPSCALED, from_torch, to_bytes
from mmsr_onnx.parity import check_network, textured_tiles
from mmsr_srgan import register_backbones
from mmsr_srgan.discriminator import Discriminator
from mmsr_srgan.network import Generator, ResidualBlock

(BACKBONE,) = register_backbones()


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_it_keeps_its_contract_with_either_norm(norm):
    check_backbone(BACKBONE, channels=4, norm=norm)


def test_depth_counts_residual_blocks():
    found = [part for part in Generator(5, 2, 4, "batch").modules()]
    assert sum(isinstance(part, ResidualBlock) for part in found) == 5


def test_the_original_normalises_every_block_twice_and_the_gathering_once():
    parts = list(Generator(3, 2, 4, "batch").modules())
    assert sum(isinstance(part, torch.nn.BatchNorm2d) for part in parts) == 7


def test_without_norm_there_is_none():
    parts = list(Generator(3, 2, 4, "none").modules())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in parts)


def test_a_norm_that_there_is_not_is_named():
    with pytest.raises(ValueError, match='no norm "group"; there are batch, none'):
        BACKBONE.build(depth=1, scale=2, norm="group")


def test_it_adds_detail_to_a_bilinear_enlargement():
    module = Generator(1, 4, 4, "batch").eval()
    torch.nn.init.zeros_(module.tail.weight)
    torch.nn.init.zeros_(module.tail.bias)
    tile = torch.rand(1, 3, 6, 6)
    expected = torch.nn.functional.interpolate(tile, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(module(tile), expected)


def test_the_answer_stays_in_range_in_eval_only():
    module = Generator(1, 2, 4, "batch")
    torch.nn.init.constant_(module.tail.bias, 2.0)
    tile = torch.rand(1, 3, 6, 6)
    assert module.train()(tile).max() > 1
    assert module.eval()(tile).max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("depth", [1, 3])
def test_an_output_pixel_sees_exactly_as_far_as_the_radius_says(depth, scale):
    module = BACKBONE.build(depth=depth, scale=scale, channels=2, norm="none").double().train()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # no path cancels
    image = torch.full((1, 3, 39, 39), 0.5, dtype=torch.double, requires_grad=True)
    block = module(image)[..., 19 * scale : 20 * scale, 19 * scale : 20 * scale]
    block.sum().backward()
    reached = image.grad.abs().sum((0, 1)).nonzero()
    assert (reached - 19).abs().max().item() == BACKBONE.radius(depth)


@pytest.mark.parametrize("scale", [3, 4])
def test_a_trained_network_answers_alike_as_a_graph_at_any_size(scale):
    torch.manual_seed(0)
    module = BACKBONE.build(depth=2, scale=scale, channels=8).train()
    for _ in range(3):
        module(torch.rand(2, 3, 16, 16))  # statistics other than those it starts with
    module.eval()
    inputs = [textured_tiles(2, 12, 16, seed=1), textured_tiles(3, 17, 9, seed=2)]
    names = ("tiles", "upscaled")
    graph = from_torch(module, torch.from_numpy(inputs[0]), names, (IMAGE, UPSCALED), "srgan")
    check_network(module, to_bytes(graph), inputs, "srgan")


@pytest.mark.parametrize("layers", [1, 2, 4, 6, 8, 11])
def test_a_discriminator_has_the_asked_number_of_convolutions_and_takes_any_patch(layers):
    module = BACKBONE.discriminator(layers=layers, channels=4)
    parts = list(module.modules())
    assert sum(isinstance(part, torch.nn.Conv2d) for part in parts) == layers
    for side in (32, 47):
        assert module(torch.rand(2, 3, side, side)).shape == (2, 1)


def test_the_standard_discriminator_is_the_one_of_the_paper():
    convs = [part for part in Discriminator(8, 64).modules() if isinstance(part, torch.nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [conv.stride[0] for conv in convs] == [1, 2] * 4


def test_a_discriminator_without_layers_is_refused():
    with pytest.raises(ValueError, match="0 layers"):
        BACKBONE.discriminator(layers=0)
