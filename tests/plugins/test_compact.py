import numpy as np
import pytest
import torch
from PIL import Image

from mmsr_compact import register_backbones
from mmsr_compact.network import Bicubic, Compact, cubic_kernel

BACKBONES = {backbone.name: backbone for backbone in register_backbones()}


def pillow_bicubic(tile, scale):
    """The same enlargement by Pillow, channel by channel, clipped to [0,1]."""
    size = (tile.shape[3] * scale, tile.shape[2] * scale)
    channels = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC))
        for channel in tile[0].numpy()
    ]
    return torch.from_numpy(np.stack(channels)[None]).clamp(0, 1)


@pytest.fixture
def tile():
    return torch.rand(1, 3, 11, 13, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_weights_of_every_sub_pixel_sum_to_one(scale):
    kernel = cubic_kernel(scale)
    assert kernel.shape == (scale**2, 5, 5)
    torch.testing.assert_close(kernel.sum((1, 2)), torch.ones(scale**2))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_equals_pillow_away_from_the_border(tile, scale):
    inside = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    expected = pillow_bicubic(tile, scale)
    torch.testing.assert_close(Bicubic(scale)(tile)[inside], expected[inside], atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_compact_is_bicubic(tile, scale):
    with torch.no_grad():
        upscaled = Compact(2, scale, 8).eval()(tile)
    torch.testing.assert_close(upscaled, Bicubic(scale)(tile))


def test_bicubic_has_nothing_to_train():
    assert not any(parameter.requires_grad for parameter in Bicubic(2).parameters())


def test_a_trained_compact_stays_in_range_in_eval_only(tile):
    module = Compact(1, 2, 4)
    torch.nn.init.constant_(module.tail.bias, 0.7)
    assert module.train()(tile).max() > 1
    assert module.eval()(tile).max() <= 1


def test_a_single_pixel_is_enlarged():
    assert Compact(1, 4, 4).eval()(torch.full((1, 3, 1, 1), 0.5)).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(("name", "depth"), [("compact", 0), ("compact", 3), ("bicubic", 0)])
@pytest.mark.parametrize("scale", [2, 4])
def test_an_output_pixel_sees_exactly_as_far_as_the_radius_says(name, depth, scale):
    torch.manual_seed(0)
    options = {"channels": 8} if name == "compact" else {}
    module = BACKBONES[name].build(depth=depth, scale=scale, **options).double().train()
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)  # no path cancels, no ReLU closes
    image = torch.full((1, 3, 31, 31), 0.5, dtype=torch.double, requires_grad=True)
    if name == "bicubic":
        image.data.mul_(0.01)  # below the clamp
    block = module(image)[..., 15 * scale : 16 * scale, 15 * scale : 16 * scale]
    block.sum().backward()
    reached = image.grad.abs().sum((0, 1)).nonzero()
    assert (reached - 15).abs().max().item() == BACKBONES[name].radius(depth)
