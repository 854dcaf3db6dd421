"""Any kind of picture in, and what can be made of its answer."""

import numpy as np
import PIL.Image
import pytest

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.image import Image, Metadata, read, resize, write


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def eight(array):
    return np.rint(array * 255).astype(np.uint8)


def test_a_float_array_gives_what_the_engine_gives(model):
    image = noise(20, 30, 3)
    result = model.upscale(image)
    expected = model.engine.upscale(image)
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    assert result.alpha is None
    assert (result.macs, result.plan.cost) == (expected.macs, expected.plan.cost)


def test_the_rows_of_bands_are_the_pixels(model):
    image = noise(20, 30, 3)
    rows = np.concatenate(list(model.bands(image, scale=1.5).rows))
    np.testing.assert_array_equal(rows, model.upscale(image, scale=1.5).pixels)


@pytest.mark.parametrize(
    ("dtype", "top"),
    [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("float64", 1), ("float16", 1)],
)
def test_every_depth_means_the_same(model, dtype, top):
    samples = eight(noise(9, 11, 3))
    given = (samples / 255 * top).round(4).astype(dtype)
    expected = model.upscale(samples).pixels
    np.testing.assert_allclose(model.upscale(given).pixels, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1)])
def test_grey_is_three_equal_channels(model, shape):
    grey = noise(*shape)
    result = model.upscale(grey)
    rgb = np.repeat(grey.reshape(9, 11, 1), 3, axis=2)
    np.testing.assert_array_equal(result.pixels, model.upscale(rgb).pixels)
    assert result.to_pil().mode == "L"


def test_alpha_is_resampled_beside_the_colour(model):
    given = noise(9, 11, 4)
    given[..., 3] = given[..., 3] * 0.8 + 0.1
    result = model.upscale(given)
    np.testing.assert_array_equal(result.pixels, model.upscale(given[..., :3]).pixels)
    np.testing.assert_allclose(result.alpha, resize(given[..., 3], 18, 22).clip(0, 1), atol=1e-5)
    assert result.uint8().shape == (18, 22, 4)


def test_hidden_colour_leaves_no_halo(model):
    given = np.zeros((20, 20, 4), np.float32)
    given[:, :10] = 0.6, 0.6, 0.6, 1
    shown = given.copy()
    shown[..., :3] = 0.6
    np.testing.assert_allclose(
        model.upscale(given).pixels[:, :24], model.upscale(shown).pixels[:, :24], atol=1e-4
    )


def test_a_file_gives_what_its_array_gives_and_keeps_what_it_says(model, tmp_path):
    rgb = eight(noise(9, 11, 3))
    metadata = Metadata(xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    write(tmp_path / "a.png", Image(rgb / np.float32(255), metadata=metadata))
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        result = model.upscale(path)
        np.testing.assert_array_equal(result.pixels, model.upscale(rgb).pixels)
    result.save(tmp_path / "b.png")
    back = read(tmp_path / "b.png")
    np.testing.assert_array_equal(eight(back.rgb), result.uint8())
    assert back.metadata.xmp == metadata.xmp


def test_a_result_is_saved_as_deep_as_asked(model, tmp_path):
    result = model.upscale(noise(9, 11, 3))
    result.save(tmp_path / "a.png")
    result.save(tmp_path / "b.png", bits=16)
    assert [read(tmp_path / name).bits for name in ("a.png", "b.png")] == [8, 16]


def test_less_quality_is_a_smaller_file(model, tmp_path):
    result = model.upscale(noise(30, 40, 3))
    for quality in (30, 90):
        result.save(tmp_path / f"{quality}.jpg", quality=quality)
    assert (tmp_path / "30.jpg").stat().st_size < (tmp_path / "90.jpg").stat().st_size


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16", "YCbCr"])
def test_pillow_images_of_every_mode(model, mode):
    rgba = PIL.Image.fromarray(eight(noise(9, 11, 4)))
    if mode == "I;16":
        image = PIL.Image.fromarray((noise(9, 11) * 65535).astype(np.uint16))
        expected = np.asarray(image)
    else:
        image = rgba.convert("RGB" if mode in ("P", "CMYK", "YCbCr") else mode).convert(mode)
        plain = mode if mode in ("L", "LA", "RGB", "RGBA") else "L" if mode == "1" else "RGB"
        expected = np.asarray(image.convert(plain))
    result = model.upscale(image)
    if mode == "LA":
        assert result.to_pil().mode == "LA"
        expected = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(result.pixels, model.upscale(expected).pixels)
    assert result.to_pil().size == (22, 18)


def test_a_transparent_palette_keeps_its_alpha(model):
    image = PIL.Image.fromarray(eight(noise(9, 11, 3))).quantize(8)
    image.info["transparency"] = 3
    assert model.upscale(image).to_pil().mode == "RGBA"


def test_a_colour_profile_goes_through_pillow(model):
    image = PIL.Image.fromarray(eight(noise(9, 11, 3)))
    image.info["icc_profile"] = b"profile"
    assert model.upscale(image).to_pil().info["icc_profile"] == b"profile"


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((3, 4), np.int64), r"an array \(3, 4\) of int64: an array is"),
        (np.zeros((3, 9, 9), np.uint8), r"an array \(3, 9, 9\) of uint8"),
        (np.zeros((2, 3, 4, 3), np.float32), r"an array \(2, 3, 4, 3\)"),
        (np.zeros((0, 4, 3), np.float32), r"an array \(0, 4, 3\)"),
        (np.full((4, 4), np.nan, np.float32), "NaN or infinite"),
        (np.full((4, 4), 200.0), "from 200 to 200: floats lie in"),
        (7, "a int is no picture"),
        ("nowhere.png", "nowhere.png: no such file"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line(model, image, told):
    with pytest.raises(MmsrError, match=told) as caught:
        model.upscale(image)
    assert "\n" not in str(caught.value)
