import pytest
import torch

from mmsr_resgdn.blocks import BLOCK_REACH, FromBlocks, ToBlocks, dct
from mmsr_resgdn.network import Decoder, Encoder, Shape

WIDTHS = (4, 4, 4, 4)


def test_all_192_patterns_are_orthonormal():
    patterns = dct(192).flatten(1)
    assert torch.allclose(patterns @ patterns.T, torch.eye(192), atol=1e-5)


def test_the_first_patterns_are_flat_brightness_and_its_slopes():
    flat, *slopes = dct(3)
    assert torch.allclose(flat, torch.full_like(flat, 192**-0.5), atol=1e-6)
    for slope in slopes:
        assert slope.sum().abs() < 1e-5
        assert torch.allclose(slope[0], slope[2], atol=1e-6)


def test_with_all_coefficients_the_inverse_gives_the_image_back():
    images = torch.rand(2, 3, 24, 16) * 2 - 1
    assert torch.allclose(FromBlocks(192)(ToBlocks(192)(images)), images, atol=1e-5)


@pytest.mark.parametrize("shade", [-1.0, 1.0])
def test_no_block_goes_beyond_the_reach(shade):
    assert ToBlocks(1)(torch.full((1, 3, 8, 8), shade)).abs().item() < BLOCK_REACH


def test_an_untrained_codec_with_a_shortcut_is_the_block_transform():
    shape = Shape(192, WIDTHS, shortcut=True)
    images = torch.rand(1, 3, 32, 40)
    codes = Encoder(shape).eval()(images)
    assert torch.allclose(codes, ToBlocks(192)(2 * images - 1), atol=1e-5)
    assert torch.allclose(Decoder(shape).eval()(codes), images, atol=1e-5)
