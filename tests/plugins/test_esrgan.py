import pytest
import torch

from mmsr_core.plugin.testing import check_backbone
from mmsr_esrgan import register_backbones
from mmsr_esrgan.discriminator import Discriminator
from mmsr_esrgan.network import DenseBlock, Generator, ResidualInResidual
from mmsr_onnx.graphs import IMAGE, UPSCALED, from_torch, to_bytes
from mmsr_onnx.parity import check_network, textured_tiles

(BACKBONE,) = register_backbones()


def test_it_keeps_its_contract_when_small():
    check_backbone(BACKBONE, channels=4, growth=2)


def test_depth_counts_basic_blocks_of_three_dense_blocks():
    parts = list(Generator(2, 2, 4, 2).modules())
    assert sum(isinstance(part, ResidualInResidual) for part in parts) == 2
    assert sum(isinstance(part, DenseBlock) for part in parts) == 6


def test_the_standard_generator_has_as_many_weights_as_the_paper_s():
    module = BACKBONE.build(depth=23, scale=4)
    assert sum(weight.numel() for weight in module.parameters()) == 16_697_987


def test_a_dense_block_starts_near_the_identity():
    torch.manual_seed(0)
    x = torch.randn(1, 8, 9, 9)
    assert (DenseBlock(8, 4)(x) - x).abs().max() < 0.02 * x.abs().max()


def test_a_basic_block_adds_a_fifth_of_its_residual():
    block = ResidualInResidual(4, 2)
    x = torch.randn(1, 4, 9, 9)
    torch.testing.assert_close(block(x) - x, 0.2 * block.blocks(x))


def test_it_adds_detail_to_a_bilinear_enlargement():
    module = Generator(1, 4, 4, 2).eval()
    torch.nn.init.zeros_(module.tail.weight)
    torch.nn.init.zeros_(module.tail.bias)
    tile = torch.rand(1, 3, 6, 6)
    expected = torch.nn.functional.interpolate(tile, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(module(tile), expected)


def test_the_answer_stays_in_range_in_eval_only():
    module = Generator(1, 2, 4, 2)
    torch.nn.init.constant_(module.tail.bias, 2.0)
    tile = torch.rand(1, 3, 6, 6)
    assert module.train()(tile).max() > 1
    assert module.eval()(tile).max() <= 1


@pytest.mark.parametrize(("scale", "short"), [(2, 0), (3, 1), (4, 0)])
@pytest.mark.parametrize("depth", [1, 2])
def test_an_output_pixel_sees_exactly_as_far_as_the_radius_says(depth, scale, short):
    """At scale 3, whose finer convolutions fall short of a pixel, one pixel less."""
    module = BACKBONE.build(depth=depth, scale=scale, channels=2, growth=1).double().train()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # no path cancels, no activation flips
    image = torch.full((1, 3, 81, 81), 0.5, dtype=torch.double, requires_grad=True)
    block = module(image)[..., 40 * scale : 41 * scale, 40 * scale : 41 * scale]
    block.sum().backward()
    reached = image.grad.abs().sum((0, 1)).nonzero()
    assert (reached - 40).abs().max().item() == BACKBONE.radius(depth) - short


@pytest.mark.parametrize("scale", [3, 4])
def test_a_network_answers_alike_as_a_graph_at_any_size(scale):
    torch.manual_seed(0)
    module = BACKBONE.build(depth=1, scale=scale, channels=8, growth=4).eval()
    inputs = [textured_tiles(2, 12, 16, seed=1), textured_tiles(3, 17, 9, seed=2)]
    names = ("tiles", "upscaled")
    graph = from_torch(module, torch.from_numpy(inputs[0]), names, (IMAGE, UPSCALED), "esrgan")
    check_network(module, to_bytes(graph), inputs, "esrgan")


@pytest.mark.parametrize("layers", [1, 2, 4, 6, 8, 10, 13])
def test_a_discriminator_has_the_asked_number_of_convolutions_and_takes_any_patch(layers):
    module = BACKBONE.discriminator(layers=layers, channels=4)
    parts = list(module.modules())
    assert sum(isinstance(part, torch.nn.Conv2d) for part in parts) == layers
    for side in (32, 47):
        assert module(torch.rand(2, 3, side, side)).shape == (2, 1)


def test_the_standard_discriminator_halves_a_patch_five_times():
    module = Discriminator(10, 4).eval()
    assert module.features(torch.rand(1, 3, 128, 128)).shape == (1, 32, 4, 4)


def test_a_discriminator_without_layers_is_refused():
    with pytest.raises(ValueError, match="0 layers"):
        BACKBONE.discriminator(layers=0)
