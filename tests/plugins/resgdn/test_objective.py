import numpy as np
import pytest
import torch

from mmsr_core.measure.metrics import ms_ssim_rgb
from mmsr_resgdn.network import Shape
from mmsr_resgdn.objective import distortion, ms_ssim
from mmsr_resgdn.transforms import Aim, Transforms

SHAPE = Shape(2, (3, 3, 3, 3), "nores")


def pair(noise, side=200):
    y, x = np.mgrid[0:side, 0:side]
    base = 0.5 + 0.3 * np.sin(0.2 * x + 0.1 * y)[..., None] * [1, 0.7, 0.4]
    rng = np.random.default_rng(0)
    images = np.clip([base, base + rng.normal(0, noise, base.shape)], 0, 1)
    return (np.rint(images * 255) / 255).astype(np.float32)


def tensors(images):
    return (torch.from_numpy(one).permute(2, 0, 1)[None] for one in images)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.3])
def test_ms_ssim_is_the_one_that_evaluation_measures(noise):
    original, noisy = pair(noise)
    value = ms_ssim(*tensors((noisy, original))).item()
    assert value == pytest.approx(ms_ssim_rgb(noisy, original), abs=2e-4)


def test_equal_images_cost_nothing():
    (image, _) = tensors(pair(0))
    assert distortion(image, image).item() == pytest.approx(0, abs=1e-5)


def test_the_distortion_is_twice_the_root_mean_square_and_what_lacks_in_structure():
    original, noisy = tensors(pair(0.1))
    l2 = (noisy - original).square().mean().sqrt()
    expected = 2 * l2 + 1 - ms_ssim(noisy, original).mean()
    assert distortion(noisy, original).item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_image_of_a_batch_has_its_own():
    original, noisy = tensors(pair(0.1))
    both = distortion(torch.cat([original, noisy]), torch.cat([original, original]))
    assert both.tolist() == pytest.approx([0, distortion(noisy, original).item()], abs=1e-5)


def test_l2_weighs_as_it_is_told():
    original, noisy = tensors(pair(0.1))
    more = distortion(noisy, original, 2.0) - distortion(noisy, original, 0.5)
    l2 = (noisy - original).square().mean().sqrt()
    assert more.item() == pytest.approx(1.5 * l2.item(), rel=1e-4)


def test_an_image_of_nothing_alike_still_has_a_gradient():
    original, _ = tensors(pair(0))
    wrong = (1 - original).requires_grad_()
    distortion(wrong, original).sum().backward()
    assert torch.isfinite(wrong.grad).all()
    assert wrong.grad.abs().sum() > 0


def test_images_too_small_for_five_scales_are_refused():
    with pytest.raises(ValueError, match="176"):
        ms_ssim(torch.rand(1, 3, 168, 200), torch.rand(1, 3, 168, 200))


def test_the_loss_sums_the_rates_it_is_given():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 176, 176)
    three = Transforms(SHAPE, Aim((8, 8, 8)))
    one = Transforms(SHAPE, Aim((8,)))
    one.load_state_dict(three.state_dict())
    # Eight bits round by so little that their chance hardly matters.
    assert three(images).item() == pytest.approx(3 * one(images).item(), rel=0.01)


def test_one_rate_an_image_costs_what_all_rates_do_on_average():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 176, 176).repeat(4, 1, 1, 1)
    every = Transforms(SHAPE, Aim((8, 7)))
    one = Transforms(SHAPE, Aim((8, 7), "one"))
    one.load_state_dict(every.state_dict())
    assert one(images).item() == pytest.approx(every(images).item(), rel=0.02)


def test_mixed_precision_measures_what_full_precision_does():
    original, noisy = tensors(pair(0.01))
    plain = distortion(noisy, original)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = distortion(noisy, original)
    assert mixed.item() == plain.item()
