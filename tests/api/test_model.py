"""A model that Python opened: sizes, families, and files."""

import numpy as np
import pytest

import mmsr_core
from mmsr_core import MmsrError, Size
from mmsr_core.runtime.image import Image, read, write


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize(("scale", "height", "width"), [(1.5, 14, 17), (3, 27, 33), (8, 72, 88)])
def test_any_scale(model, family, scale, height, width):
    for one in (model, family):
        assert one.upscale(noise(9, 11, 3), scale=scale).pixels.shape == (height, width, 3)


def test_any_size(family):
    assert family.upscale(noise(9, 11, 3), size=Size(width=40)).pixels.shape == (33, 40, 3)


def test_a_family_uses_the_model_that_fits(family):
    image = noise(9, 11, 3)
    four, two = family.upscaler.engines
    assert (family.scale, two.manifest.scale) == (4, 2)
    np.testing.assert_array_equal(family.upscale(image).pixels, four.upscale(image).pixels)
    np.testing.assert_array_equal(family.upscale(image, scale=2).pixels, two.upscale(image).pixels)


def test_a_model_that_was_named_works_alone(model):
    assert [engine.manifest.name for engine in model.upscaler.engines] == ["tiny-x2"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scale": 0.5}, "would shrink"),
        ({"scale": 2, "size": Size(width=90)}, "can't hold together"),
        ({"size": Size(width=5)}, "11x9 is larger"),
    ],
)
def test_a_size_that_cannot_be_is_said_in_one_line(model, options, told):
    with pytest.raises(MmsrError, match=told):
        model.upscale(noise(9, 11, 3), **options)


def test_a_file_is_upscaled_into_a_file(model, tmp_path):
    write(tmp_path / "a.png", Image(noise(9, 11, 3)))
    facts = model.upscale_file(tmp_path / "a.png", str(tmp_path / "deep/b.png"), scale=3)
    assert facts["upscaled"] == [33, 27]
    assert read(tmp_path / "deep/b.png").rgb.shape == (27, 33, 3)


def test_a_file_is_not_upscaled_into_itself(model, tmp_path):
    write(tmp_path / "a.png", Image(noise(9, 11, 3)))
    with pytest.raises(MmsrError, match="is the picture itself"):
        model.upscale_file(tmp_path / "a.png", tmp_path / "a.png")
    assert read(tmp_path / "a.png").rgb.shape == (9, 11, 3)


def test_the_names_of_the_package_are_there():
    for name in mmsr_core.__all__:
        assert getattr(mmsr_core, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        mmsr_core.Nothing  # noqa: B018
