import math

import numpy as np
import pytest

from mmsr_core.measure.metrics import luma, ms_ssim_y, perceptual_index

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def pair(height=200, width=243, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    hr = np.cumsum(np.cumsum(rng.normal(0, 0.02, (height, width, 3)), axis=0), axis=1) % 1
    sr = np.clip(hr + rng.normal(0, noise, hr.shape), 0, 1)
    return sr.astype(np.float32), hr.astype(np.float32)


def planes(sr, hr):
    import torch

    eight = (np.rint(image * 255) / 255 for image in (sr, hr))
    return [torch.from_numpy(luma(image))[None, None] for image in eight]


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_it_is_torchmetrics_ssim_of_five_scales_where_the_window_lies_inside(noise):
    from torch.nn.functional import avg_pool2d
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    sr, hr = pair(noise=noise)
    a, b = planes(sr, hr)
    expected = 1.0
    for weight in WEIGHTS[:-1]:
        _, structure = ssim(a, b, data_range=255.0, return_contrast_sensitivity=True)
        expected *= float(structure) ** weight
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    _, full = ssim(a, b, data_range=255.0, return_full_image=True)
    expected *= float(full[..., 5:-5, 5:-5].mean()) ** WEIGHTS[-1]
    assert ms_ssim_y(sr, hr, 0) == pytest.approx(expected, abs=1e-6)


def test_torchmetrics_ms_ssim_differs_only_by_windows_beyond_the_edge_of_its_coarsest_scale():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    sr, hr = pair(256, 256, noise=0.2)
    theirs = multiscale_structural_similarity_index_measure(*planes(sr, hr), data_range=255.0)
    assert ms_ssim_y(sr, hr, 0) == pytest.approx(float(theirs), abs=2e-3)


def test_equal_images_have_one():
    _, hr = pair()
    assert ms_ssim_y(hr, hr, 4) == pytest.approx(1, abs=1e-12)


def test_an_opposite_image_has_zero():
    _, hr = pair()
    assert ms_ssim_y(1 - hr, hr, 0) == 0


def test_more_noise_is_worse():
    values = [ms_ssim_y(*pair(noise=noise), 0) for noise in (0.01, 0.05, 0.2, 0.5)]
    assert values == sorted(values, reverse=True)


def test_the_border_does_not_count():
    sr, hr = pair()
    spoilt = sr.copy()
    spoilt[:4] = spoilt[-4:] = 0
    spoilt[:, :4] = spoilt[:, -4:] = 1
    assert ms_ssim_y(spoilt, hr, 4) == ms_ssim_y(sr, hr, 4)


@pytest.mark.parametrize(
    ("height", "border", "known"), [(176, 0, True), (175, 0, False), (183, 4, False)]
)
def test_the_coarsest_scale_has_to_hold_a_window(height, border, known):
    assert math.isnan(ms_ssim_y(*pair(height), border)) != known


def test_different_shapes_are_refused():
    sr, hr = pair()
    with pytest.raises(ValueError, match="differ in shape"):
        ms_ssim_y(sr[:-1], hr, 0)


def test_the_perceptual_index_is_lower_for_better_parts():
    assert perceptual_index(niqe=4.0, ma=8.0) == 3.0
    assert perceptual_index(niqe=3.0, ma=9.0) < perceptual_index(niqe=4.0, ma=8.0)
