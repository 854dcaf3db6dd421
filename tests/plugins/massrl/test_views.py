"""Crops, operations and views, against Pillow where it has the same."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mmsr_massrl.crops import Crop, cut, cut_windows
from mmsr_massrl.ops import EXTENDED, OPS
from mmsr_massrl.policies import View
from mmsr_massrl.sets import NAMES, named_policy
from mmsr_massrl.shape import OUTSIDE
from mmsr_massrl.views import apply_ops, make_view, make_views

GREY = (128, 128, 128)
LEVEL = 1 / 255


def photographs(count=4, height=40, width=40, seed=0):
    """Smooth images with some noise (n,h,w,3), the last one of few colours."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), int)
        made.append((smooth + rng.integers(-9, 10, smooth.shape)).clip(20, 230))
    made[-1] = made[-1] // 64 * 64
    return np.stack(made).astype(np.uint8)


def to_tensor(arrays):
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255


def to_arrays(images):
    return images.permute(0, 2, 3, 1).numpy()


def applied(name, arrays, amount):
    amounts = torch.full((len(arrays),), float(amount))
    return to_arrays(OPS[name].apply(to_tensor(arrays), amounts))


def by_pillow(arrays, change):
    return np.stack([np.asarray(change(Image.fromarray(a)), np.float32) for a in arrays]) / 255


def moved(terms):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, terms, Image.Resampling.NEAREST, fillcolor=GREY
    )


def solarize_add(image):
    table = [min(255, level + 60) if level < 128 else level for level in range(256)]
    return image.point(table * 3)


EXACT = {
    "Invert": (0, ImageOps.invert),
    "Equalize": (0, ImageOps.equalize),
    "Posterize": (5, lambda image: ImageOps.posterize(image, 5)),
    "Solarize": (100 / 255, lambda image: ImageOps.solarize(image, 100)),
    "SolarizeAdd": (60 / 255, solarize_add),
    "ShearX": (0.3, moved((1, 0.3, 0, 0, 1, 0))),
    "ShearY": (-0.21, moved((1, 0, 0, -0.21, 1, 0))),
    "TranslateX": (0.15, moved((1, 0, 6, 0, 1, 0))),
    "TranslateY": (-0.15, moved((1, 0, 0, 0, 1, -5))),
    "Rotate": (17, lambda image: image.rotate(17, Image.Resampling.NEAREST, fillcolor=GREY)),
}
NEAR = {
    "AutoContrast": (0, ImageOps.autocontrast),
    "Color": (0.4, lambda image: ImageEnhance.Color(image).enhance(0.4)),
    "Contrast": (1.5, lambda image: ImageEnhance.Contrast(image).enhance(1.5)),
    "Brightness": (1.3, lambda image: ImageEnhance.Brightness(image).enhance(1.3)),
    "Sharpness": (1.7, lambda image: ImageEnhance.Sharpness(image).enhance(1.7)),
    "rand_brightness": (0.7, lambda image: ImageEnhance.Brightness(image).enhance(0.7)),
    "rand_contrast": (0.7, lambda image: ImageEnhance.Contrast(image).enhance(0.7)),
    "rand_saturation": (1.6, lambda image: ImageEnhance.Color(image).enhance(1.6)),
    "color_drop": (0, lambda image: image.convert("L").convert("RGB")),
}


@pytest.mark.parametrize("name", EXACT)
def test_an_operation_of_whole_levels_is_pillows(name):
    arrays = photographs(height=33)
    amount, change = EXACT[name]
    expected = by_pillow(arrays, change)
    np.testing.assert_allclose(applied(name, arrays, amount), expected, atol=1e-6)


@pytest.mark.parametrize("name", NEAR)
def test_an_operation_that_blends_is_pillows_up_to_its_rounding(name):
    arrays = photographs(height=33)
    amount, change = NEAR[name]
    apart = np.abs(applied(name, arrays, amount) - by_pillow(arrays, change))
    # Pillow rounds the grey image or the smoothed one before it blends by up to 1.7.
    assert apart.max() <= 1.8 * LEVEL
    assert apart.mean() <= 0.6 * LEVEL


def test_the_hue_turns_as_colorsys_turns_it():
    arrays = photographs(height=9, width=9)
    turned = applied("rand_hue", arrays, 0.13).reshape(-1, 3)
    for before, after in zip(arrays.reshape(-1, 3) / 255, turned, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before)
        np.testing.assert_allclose(after, colorsys.hsv_to_rgb((h + 0.13) % 1, s, v), atol=2e-6)


def test_the_blur_is_gaussian():
    arrays = photographs(1, 200, 200)
    blurred = applied("rand_blur", arrays, 2 / 200)[:, 12:-12, 12:-12]
    expected = by_pillow(arrays, lambda image: image.filter(ImageFilter.GaussianBlur(2)))
    # Pillow's is three box blurs, close to a Gaussian.
    assert np.abs(blurred - expected[:, 12:-12, 12:-12]).mean() < 1.5 * LEVEL


def test_every_image_of_a_batch_is_blurred_by_its_own_amount():
    images = to_tensor(photographs(3, 100, 100))
    amounts = torch.tensor([0.001, 0.004, 0.01])
    together = OPS["rand_blur"].apply(images, amounts)
    spread = together.diff(dim=3).abs().mean(dim=(1, 2, 3)) / images.diff(dim=3).abs().mean(
        dim=(1, 2, 3)
    )
    assert spread[0] > 0.99
    assert spread[0] > spread[1] > spread[2]


def test_cutout_greys_a_square_of_the_asked_side():
    images = to_tensor(photographs(1, 40, 40))
    cut_out = OPS["Cutout"].apply(images, torch.tensor([[0.2, 0.5, 0.25]]))
    changed = (cut_out != images).any(dim=1)[0]
    assert changed.sum() == 64
    assert changed[6:14, 16:24].all()
    assert (cut_out[0, :, 6:14, 16:24] == OUTSIDE).all()


def test_the_extended_space_has_the_papers_eighteen_operations():
    assert len(EXTENDED) == 18
    assert {"rand_blur", "rand_hue", "color_drop", "SolarizeAdd"} <= set(EXTENDED)
    assert not {"Rotate", "Cutout"} & set(EXTENDED)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_an_operation_gives_finite_images_of_the_same_shape_at_every_level(name, level):
    images = torch.rand(5, 3, 17, 23)
    images[0], images[1] = 0.0, 1.0
    draws = torch.rand(5, 2)
    changed = OPS[name].apply(images, OPS[name].amount(torch.full((5,), level), draws))
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    assert changed.min() >= -1e-6
    assert changed.max() <= 1 + 1e-6


IDLE = ("Solarize", "SolarizeAdd", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
DRAWN = ("rand_brightness", "rand_contrast", "rand_saturation", "rand_hue", "Cutout")


@pytest.mark.parametrize("name", [*IDLE, *DRAWN])
def test_an_operation_at_level_0_changes_nothing(name):
    images = to_tensor(photographs())
    amounts = OPS[name].amount(torch.zeros(len(images)), torch.rand(len(images), 2))
    torch.testing.assert_close(OPS[name].apply(images, amounts), images, atol=1e-5, rtol=0)


def test_a_blend_runs_from_a_tenth_to_nineteen_tenths():
    levels = torch.tensor([0.0, 0.5, 1.0])
    amounts = OPS["Color"].amount(levels, torch.rand(3, 2))
    torch.testing.assert_close(amounts, torch.tensor([0.1, 1.0, 1.9]))


@given(st.floats(0, 11), st.floats(0, 11), st.floats(12, 40), st.floats(12, 40))
def test_a_crop_is_pillows_resize_of_its_box(left, top, width, height):
    width, height = min(width, 40 - left), min(height, 40 - top)
    array = photographs(1)
    boxes = torch.tensor([[left, top, width, height]], dtype=torch.float32)
    no = torch.tensor([False])
    found = to_arrays(cut(torch.from_numpy(array), boxes, 24, no, no))[0]
    box = left, top, left + width, top + height
    channels = [Image.fromarray(array[0, :, :, c].astype(np.float32)) for c in range(3)]
    expected = [c.resize((24, 24), Image.Resampling.BILINEAR, box=box) for c in channels]
    np.testing.assert_allclose(found, np.stack(expected, axis=2) / 255, atol=2e-5)


def test_a_window_is_copied_pixel_by_pixel():
    stored = torch.from_numpy(photographs(3))
    boxes = torch.tensor([[0.0, 8, 32, 32], [3, 5, 32, 32], [8, 0, 32, 32]])
    mirrored, turned = torch.tensor([False, True, False]), torch.tensor([False, False, True])
    found = cut_windows(stored, boxes, 32, mirrored, turned)
    images = to_tensor(stored.numpy())
    assert torch.equal(found[0], images[0, :, 8:40, 0:32])
    assert torch.equal(found[1], images[1, :, 5:37, 3:35].flip(2))
    assert torch.equal(found[2], images[2, :, 0:32, 8:40].flip(1))
    torch.testing.assert_close(cut(stored, boxes, 32, mirrored, turned), found)


def test_a_uniform_crop_has_a_share_of_the_sides_drawn_evenly():
    boxes = Crop().boxes(4000, 100, 32, torch.Generator().manual_seed(0))
    assert torch.equal(boxes[:, 2], boxes[:, 3])
    share = boxes[:, 2] / 100
    quarters = torch.histc(share.float(), 4, 0.5, 1.0) / 4000
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.03, rtol=0)
    inside = (boxes[:, :2] >= 0) & (boxes[:, :2] + boxes[:, 2:] <= 100 + 1e-9)
    assert inside.all()


def test_an_inception_crop_keeps_to_its_areas_and_aspects():
    crop = Crop(kind="inception", low=0.08, high=1.0)
    boxes = crop.boxes(4000, 100, 32, torch.Generator().manual_seed(0))
    aspects, areas = boxes[:, 2] / boxes[:, 3], boxes[:, 2] * boxes[:, 3] / 1e4
    assert aspects.min() >= 3 / 4 - 1e-9
    assert aspects.max() <= 4 / 3 + 1e-9
    assert 0.08 - 1e-9 <= areas.min() < 0.1
    assert 0.9 < areas.max() <= 1
    assert (boxes[:, :2] + boxes[:, 2:] <= 100 + 1e-9).all()


@pytest.mark.parametrize("name", [*NAMES, "randaugment:1,5"])
def test_a_seed_draws_the_same_views_and_another_draws_others(name):
    stored, policy = torch.from_numpy(photographs(8)), named_policy(name)
    first, second, other = (
        make_views(stored, policy, 3, 32, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert [view.shape for view in first] == [(8, 3, 32, 32)] * 3
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[1])
    assert all(view.min() >= 0 and view.max() <= 1 for view in first)


def test_a_view_of_tiles_only_moves_turns_and_recolours():
    # All its colour operations work pixel by pixel: an image's set of distinct pixels can't grow.
    stored = torch.from_numpy(photographs(16) // 64 * 64)
    view = make_view(stored, named_policy("tile").view(0), 32, torch.Generator().manual_seed(0))
    for before, after in zip(stored, view, strict=True):
        colours = len(before.reshape(-1, 3).unique(dim=0))
        assert len(after.reshape(3, -1).T.unique(dim=0)) <= colours


def test_turning_and_flipping_reaches_all_eight_ways():
    stored = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 2, 3).expand(400, 2, 2, 3)
    view = View(crop=Crop(kind="window"), turns=True)
    made = make_view(stored.contiguous(), view, 2, torch.Generator().manual_seed(0))
    _, counts = made.unique(dim=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 25


def test_operations_run_slot_by_slot_on_their_own_images_alone():
    images = torch.rand(3, 3, 8, 8)
    names = list(OPS)
    invert, drop = names.index("Invert"), names.index("color_drop")
    numbers = torch.tensor([[invert, drop], [-1, -1], [drop, invert]])
    changed = apply_ops(images, numbers, torch.zeros(3, 2), torch.zeros(3, 2, 2))
    none = torch.zeros(1)
    expected = OPS["color_drop"].apply(OPS["Invert"].apply(images[:1], none), none)
    torch.testing.assert_close(changed[:1], expected)
    assert torch.equal(changed[1], images[1])
    assert not torch.equal(changed[2], images[2])
