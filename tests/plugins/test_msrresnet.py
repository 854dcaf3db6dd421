import pytest
import torch

from mmsr_msrresnet import register_backbones
from mmsr_msrresnet.network import MSRResNet

(BACKBONE,) = register_backbones()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_tile_of_any_size_is_enlarged_by_the_scale(scale):
    module = BACKBONE.build(depth=1, scale=scale, channels=4).eval()
    assert module(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_depth_counts_residual_blocks():
    assert len(MSRResNet(5, 2, 4).body) == 5


def test_it_adds_detail_to_a_bilinear_enlargement():
    module = MSRResNet(1, 4, 4).eval()
    torch.nn.init.zeros_(module.tail.weight)
    torch.nn.init.zeros_(module.tail.bias)
    tile = torch.rand(1, 3, 6, 6)
    expected = torch.nn.functional.interpolate(tile, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(module(tile), expected)


def test_the_answer_stays_in_range_in_eval_only():
    module = MSRResNet(1, 2, 4)
    torch.nn.init.constant_(module.tail.bias, 2.0)
    tile = torch.rand(1, 3, 6, 6)
    assert module.train()(tile).max() > 1
    assert module.eval()(tile).max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("depth", [1, 3])
def test_an_output_pixel_sees_exactly_as_far_as_the_radius_says(depth, scale):
    module = BACKBONE.build(depth=depth, scale=scale, channels=2).double().train()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # no path cancels, no ReLU closes
    image = torch.full((1, 3, 31, 31), 0.5, dtype=torch.double, requires_grad=True)
    block = module(image)[..., 15 * scale : 16 * scale, 15 * scale : 16 * scale]
    block.sum().backward()
    reached = image.grad.abs().sum((0, 1)).nonzero()
    assert (reached - 15).abs().max().item() == BACKBONE.radius(depth)
