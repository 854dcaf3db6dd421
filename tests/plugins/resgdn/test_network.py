import numpy as np
import pytest
import torch
from torch import nn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.codec_check import check_codec
from mmsr_resgdn import register_codecs
from mmsr_resgdn.gdn import GDN, IGDN
from mmsr_resgdn.network import Decoder, Encoder, Shape, Up
from mmsr_resgdn.transforms import Aim, Transforms, decoder_radius, encoder_radius

WIDTHS = (4, 6, 8, 10)
VARIANTS = ("resgdn", "resrelu", "nores", "nogdn")
(CODEC,) = register_codecs()


def parts(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


@pytest.mark.parametrize("codes", [4, 8])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_keeps_the_contract_of_a_codec(variant, codes):
    check_codec(CODEC, widths=WIDTHS, variant=variant, codes=codes)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("range", ["fixed", "learnt"])
def test_a_shortcut_a_price_and_ranges_that_images_share_keep_it_too(variant, range):
    options = {"shortcut": True, "price": 1.0, "range": range, "rounding": "nearest"}
    check_codec(CODEC, widths=WIDTHS, variant=variant, codes=12, **options)


def test_learnt_steps_are_at_first_those_of_a_fixed_range():
    rounding = CODEC.build(widths=WIDTHS, range="learnt").rounding
    assert rounding.reach == CODEC.build(widths=WIDTHS, range="fixed").rounding.reach
    assert all((scales == 1).all() for scales in rounding.scales.values())


def test_a_rate_that_is_not_learnt_has_the_scales_of_the_nearest():
    module = CODEC.build(widths=WIDTHS, range="learnt", bits=(4, 8))
    with torch.no_grad():
        module.scales.logs[0] -= 0.1
    scales = module.rounding.scales
    assert np.array_equal(scales[1], scales[4])
    assert np.array_equal(scales[7], scales[8])
    assert (scales[4] < scales[8]).all()


def test_each_transform_has_the_paper_s_eleven_convolutions_each_with_its_gdn():
    encoder, decoder = Encoder(Shape(8, WIDTHS)), Decoder(Shape(8, WIDTHS))
    assert [len(parts(one, nn.Conv2d)) for one in (encoder, decoder)] == [11, 11]
    assert [len(parts(one, GDN)) for one in (encoder, decoder)] == [11, 11]
    assert len(parts(decoder, IGDN)) == 11
    assert parts(encoder, IGDN) == []


def test_without_residual_blocks_five_convolutions_are_left():
    assert len(parts(Encoder(Shape(8, WIDTHS, "nores")), nn.Conv2d)) == 5


def test_relu_residuals_keep_gdn_outside_the_blocks_alone():
    decoder = Decoder(Shape(8, WIDTHS, "resrelu"))
    assert (len(parts(decoder, GDN)), len(parts(decoder, nn.ReLU))) == (5, 6)


def test_without_gdn_every_inner_convolution_has_instance_normalisation_and_the_ends_tanh():
    for one in (Encoder(Shape(8, WIDTHS, "nogdn")), Decoder(Shape(8, WIDTHS, "nogdn"))):
        assert parts(one, GDN) == []
        assert (len(parts(one, nn.InstanceNorm2d)), len(parts(one, nn.Tanh))) == (10, 1)


def test_an_upsampling_is_the_transposed_convolution_of_the_same_weights():
    torch.manual_seed(0)
    up = Up(3, 2).requires_grad_(False)
    same = nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1).requires_grad_(False)
    four = up.conv.weight.unflatten(0, (2, 2, 2))  # (c', phase y, phase x, c, 2, 2)
    for y in range(4):
        for x in range(4):
            # Phase 1 is the even outputs, shifted by one; a transposed kernel runs backwards.
            same.weight[:, :, y, x] = four[
                :, 1 - y % 2 ^ 1, 1 - x % 2 ^ 1, :, 1 - y // 2, 1 - x // 2
            ].T
    same.bias[:] = up.conv.bias.unflatten(0, (2, 4))[:, 0]
    images = torch.randn(1, 3, 5, 7)
    assert torch.allclose(up(images), same(images), atol=1e-5)


@pytest.mark.parametrize("residual", [True, False])
def test_the_radii_are_the_least_that_hold(residual):
    variant = "resgdn" if residual else "nores"
    torch.manual_seed(0)
    module = Transforms(Shape(2, (3, 3, 3, 3), variant), Aim(bits=(4,))).double().eval()
    radius, cells = encoder_radius(residual), 12
    images = torch.rand(1, 3, 200, 200, dtype=torch.float64, requires_grad=True)
    module.encoder(images)[0, :, cells, cells].sum().backward()
    rows = images.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    reach = max(cells * 8 - int(rows[0]), int(rows[-1]) - (cells * 8 + 7))
    assert reach == radius
    codes = torch.rand(1, 2, 41, 41, dtype=torch.float64, requires_grad=True)
    module.train().decoder(codes)[0, :, 160:168, 160:168].sum().backward()
    rows = codes.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert max(20 - int(rows[0]), int(rows[-1]) - 20) == decoder_radius(residual)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"codes": 0}, "codes is 0"),
        ({"widths": (8, 8)}, "it takes 4"),
        ({"variant": "resgdm"}, 'did you mean "resgdn"'),
        ({"bits": (2, 9)}, "some of 1 to 8"),
        ({"codes": 193, "shortcut": True}, "at most 192"),
        ({"range": "channels"}, 'did you mean "channel"'),
        ({"rounding": "near"}, 'did you mean "nearest"'),
        ({"rates": "two"}, 'no rates named "two"'),
        ({"price": -1.0}, "price is -1.0"),
        ({"dead_zone": 50}, "from 0 to 49"),
        ({"thrift": -1}, "thrift is -1"),
    ],
)
def test_options_that_make_no_codec_are_refused(options, said):
    with pytest.raises(PluginError, match=said):
        CODEC.build(**options)
