"""Transparency: nothing that is hidden shows after upscaling."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.runtime.image import Image, open_image, resize, write
from mmsr_core.runtime.image.transparent import REACH, extended, extended_strips


def disc(side=96):
    """A red disc on what is green and transparent."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    cover = np.clip(side / 3 - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)
    rgb = np.zeros((side, side, 3), np.float32)
    rgb[..., 1] = 1
    rgb[cover > 0] = (1, 0, 0)
    return rgb, cover


def test_a_red_disc_on_hidden_green_has_no_green_fringe(tmp_path):
    rgb, cover = disc()
    write(tmp_path / "disc.png", Image(rgb, cover))
    picture = open_image(tmp_path / "disc.png")
    colour = np.concatenate(list(picture.colour.strips(16)))
    alpha = np.concatenate(list(picture.alpha.strips(16)))
    large, large_cover = resize(colour, 384, 384).clip(0, 1), resize(alpha, 384, 384).clip(0, 1)
    over_black = large * large_cover[..., None]
    assert over_black[..., 1].max() < 1 / 255
    assert (resize(rgb, 384, 384).clip(0, 1) * large_cover[..., None])[..., 1].max() > 0.2


def test_visible_pixels_keep_their_colour():
    rgb, cover = disc()
    made = extended(rgb, cover)
    assert np.array_equal(made[cover > 0], rgb[cover > 0])


def test_colour_is_carried_as_far_as_any_expert_looks():
    rgb, cover = disc(160)
    made = extended(rgb, cover)
    near = np.hypot(*(np.mgrid[:160, :160] - 79.5)) < 160 / 3 + 24
    assert np.array_equal(np.unique(made[near].reshape(-1, 3), axis=0), [[1, 0, 0]])


def test_an_image_that_is_transparent_everywhere_keeps_its_colours():
    rgb, cover = disc()
    assert np.array_equal(extended(rgb, np.zeros_like(cover)), rgb)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150), st.integers(1, 40), st.integers(1, 80), st.integers(0, 99))
def test_strips_of_any_height_give_what_the_whole_gives(height, width, rows, seed):
    rng = np.random.default_rng(seed)
    colour = rng.random((height, width, 3), dtype=np.float32)
    alpha = np.where(rng.random((height, width)) < 0.02, rng.random((height, width)), 0)
    alpha = alpha.astype(np.float32)
    tops = range(0, height, rows)
    pairs = ((colour[top : top + rows], alpha[top : top + rows]) for top in tops)
    strips = list(extended_strips(pairs, rows))
    assert [len(strip) for strip in strips] == [min(rows, height - top) for top in tops]
    assert np.array_equal(np.concatenate(strips), extended(colour, alpha))


def test_the_reach_is_beyond_that_of_the_experts():
    assert REACH >= 24
