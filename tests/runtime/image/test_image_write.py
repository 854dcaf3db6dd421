import os
import stat
from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import (
    WRITABLE_SUFFIXES,
    Image,
    Metadata,
    check_writable,
    quantize,
    read,
    write,
)

LOSSLESS = [".png", ".tiff", ".tif", ".bmp"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(height=37, width=53, channels=3, bits=8):
    """Smooth colour, exactly representable in `bits`."""
    rng = np.random.default_rng(7)
    coarse = rng.random((4, 5, channels))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantize(smooth, bits).reshape(height, width, channels) / np.float32(2**bits - 1)


def exif(orientation):
    tags = PIL.Image.Exif()
    tags[0x010F] = "Maker"
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_is_written_losslessly_is_read_back(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", Image(picture()))
    assert np.array_equal(read(tmp_path / f"a{suffix}").rgb, picture())


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_one_pixel_works_in_every_format(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", Image(picture(1, 1)))
    assert np.allclose(read(tmp_path / f"a{suffix}").rgb, picture(1, 1), atol=0.03)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_kept(tmp_path, suffix):
    image = Image(picture(bits=16), picture(bits=16)[..., 0], bits=16)
    write(tmp_path / f"a{suffix}", image)
    again = read(tmp_path / f"a{suffix}")
    assert again.bits == 16
    assert np.array_equal(quantize(again.rgb, 16), quantize(image.rgb, 16))
    assert np.array_equal(quantize(again.alpha, 16), quantize(image.alpha, 16))


def test_sixteen_bits_become_eight_in_a_jpeg(tmp_path):
    write(tmp_path / "a.jpg", Image(picture(), bits=16))
    assert read(tmp_path / "a.jpg").bits == 8


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp"])
def test_grey_is_written_as_grey(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", Image(picture(channels=1).repeat(3, 2), grey=True))
    assert PIL.Image.open(tmp_path / f"a{suffix}").mode == "L"
    assert np.allclose(read(tmp_path / f"a{suffix}").rgb, picture(channels=1), atol=0.02)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_alpha_is_kept_where_the_format_can(tmp_path, suffix):
    alpha = picture(channels=1)[..., 0]
    write(tmp_path / f"a{suffix}", Image(picture(), alpha))
    assert np.allclose(read(tmp_path / f"a{suffix}").alpha, alpha, atol=1e-3)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_alpha_is_laid_over_white_elsewhere(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", Image(picture(), np.full((37, 53), 0.25, np.float32)))
    expected = picture() * 0.25 + 0.75
    assert np.abs(read(tmp_path / f"a{suffix}").rgb - expected).max() < 0.02


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif"])
def test_an_icc_profile_and_xmp_are_kept(tmp_path, suffix):
    metadata = Metadata(icc=SRGB, xmp=b"<x:xmpmeta>odd</x:xmpmeta>")
    write(tmp_path / f"a{suffix}", Image(picture(), metadata=metadata))
    assert read(tmp_path / f"a{suffix}").metadata == metadata
    assert PIL.Image.open(tmp_path / f"a{suffix}").info["icc_profile"] == SRGB


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif"])
def test_exif_is_kept(tmp_path, suffix):
    metadata = Metadata(exif=exif(1).tobytes().removeprefix(b"Exif\0\0"))
    write(tmp_path / f"a{suffix}", Image(picture(), metadata=metadata))
    assert read(tmp_path / f"a{suffix}").metadata == metadata
    assert PIL.Image.open(tmp_path / f"a{suffix}").getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tiff"])
def test_a_profile_longer_than_a_jpeg_segment_is_kept(tmp_path, suffix):
    profile = SRGB[:128] + bytes(range(256)) * 600
    write(tmp_path / f"a{suffix}", Image(picture(), metadata=Metadata(icc=profile)))
    assert PIL.Image.open(tmp_path / f"a{suffix}").info["icc_profile"] == profile
    assert read(tmp_path / f"a{suffix}").metadata.icc == profile


def test_metadata_travels_from_format_to_format(tmp_path):
    photo = PIL.Image.fromarray(quantize(picture()))
    photo.save(tmp_path / "a.jpg", exif=exif(6), icc_profile=SRGB)
    write(tmp_path / "b.png", read(tmp_path / "a.jpg"))
    write(tmp_path / "c.webp", read(tmp_path / "b.png"))
    again = PIL.Image.open(tmp_path / "c.webp")
    assert again.size == (37, 53)
    assert again.getexif()[0x0112] == 1
    assert again.info["icc_profile"] == SRGB


def test_a_profile_of_another_colour_space_is_left_out(tmp_path):
    cmyk = SRGB[:16] + b"CMYK" + SRGB[20:]
    write(tmp_path / "a.jpg", Image(picture(), metadata=Metadata(icc=cmyk)))
    assert read(tmp_path / "a.jpg").metadata.icc == b""


def test_jpeg_colour_keeps_its_full_resolution(tmp_path):
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2, 0] = 1
    stripes[:, 1::2, 2] = 1
    write(tmp_path / "a.jpg", Image(stripes))
    assert np.abs(read(tmp_path / "a.jpg").rgb - stripes).mean() < 0.03


def test_folders_are_made_and_nothing_else_is_left(tmp_path):
    write(tmp_path / "b" / "c" / "a.png", Image(picture()))
    assert [p.name for p in (tmp_path / "b" / "c").iterdir()] == ["a.png"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path / "a.png", Image(picture()))
    before = (tmp_path / "a.png").read_bytes()

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ImageError, match="No space left"):
        write(tmp_path / "a.png", Image(1 - picture()))
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unknown_output_suffix_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"choose one of \.png"):
        write(tmp_path / "a.gif", Image(picture()))


def test_a_folder_as_output_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        check_writable(tmp_path / "a.png")


def test_an_output_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="is not a folder"):
        check_writable(tmp_path / "file" / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_refused(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ImageError, match="not writable"):
        check_writable(tmp_path / "a.png")


def test_a_side_too_long_for_webp_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot hold 16384x1"):
        write(tmp_path / "a.webp", Image(np.zeros((1, 16384, 3), np.float32)))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_any_eight_bit_picture_survives_a_png(tmp_path_factory, height, width, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3)) / np.float32(255)
    path = tmp_path_factory.mktemp("png") / "a.png"
    write(path, Image(rgb.astype(np.float32)))
    assert np.array_equal(read(path).rgb, rgb.astype(np.float32))


def test_a_written_png_is_a_valid_png(tmp_path):
    write(
        tmp_path / "a.png", Image(picture(), metadata=Metadata(icc=SRGB, exif=b"MM\0*" + bytes(6)))
    )
    PIL.Image.open(BytesIO((tmp_path / "a.png").read_bytes())).verify()
