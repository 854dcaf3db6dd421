"""Kinds of files that need a word of their own: floats, Lab, associated alpha, frames, giants."""

import struct
import sys
from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
import pyvips
from PIL import ImageCms

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import Image, Metadata, open_image, quantize, read, write


def picture(bands=3):
    coarse = np.random.default_rng(7).random((4, 5, bands)).astype(np.float32)
    return cv2.resize(coarse, (53, 37)).reshape(37, 53, bands)


def by_vips(path, samples, interpretation="srgb", **options):
    names = {"uint8": "uchar", "uint16": "ushort", "float32": "float", "int16": "short"}
    height, width, bands = samples.shape
    image = pyvips.Image.new_from_memory(
        samples.tobytes(), width, height, bands, names[str(samples.dtype)]
    )
    image.copy(interpretation=interpretation).tiffsave(str(path), **options)
    return path


def associated(path, samples):
    """A TIFF whose colour is multiplied by alpha already, and says so (ExtraSamples 1)."""
    by_vips(path, samples)
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", data, 4)[0]
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] == 338:
            struct.pack_into("<H", data, entry + 8, 1)
    path.write_bytes(data)
    return path


def test_floats_beyond_one_are_kept_by_way_of_the_range(tmp_path):
    samples = picture() * 7 - 2
    image = read(by_vips(tmp_path / "a.tif", samples))
    assert (image.bits, image.range) == (32, (samples.min(), samples.max()))
    assert (image.rgb.min(), image.rgb.max()) == (0, 1)
    write(tmp_path / "b.tif", image)
    again = cv2.imread(str(tmp_path / "b.tif"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_allclose(again, samples, atol=1e-5)


def test_floats_within_zero_and_one_are_not_stretched(tmp_path):
    image = read(by_vips(tmp_path / "a.tif", picture() / 2))
    assert image.range == (0, 1)
    assert np.array_equal(image.rgb, picture() / 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e35])
def test_floats_that_cannot_be_computed_with_are_refused(tmp_path, value):
    samples = picture()
    samples[30, 7, 1] = value
    with pytest.raises(ImageError, match="NaN, infinite or huge"):
        open_image(by_vips(tmp_path / "a.tif", samples))


def test_signed_samples_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match="1 channels of type short"):
        open_image(by_vips(tmp_path / "a.tif", np.zeros((5, 5, 1), np.int16), "b-w"))


def test_doubles_are_read_as_floats(tmp_path):
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), picture()[..., ::-1].astype(np.float64))
    assert np.array_equal(read(path).rgb, picture())


def test_lab_becomes_srgb(tmp_path):
    lab = PIL.Image.new("LAB", (5, 4), (128, 148, 108))
    lab.save(tmp_path / "a.tif")
    lab_profile, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(lab, lab_profile, srgb, outputMode="RGB").getpixel((0, 0))
    assert np.abs(read(tmp_path / "a.tif").rgb[0, 0] * 255 - expected).max() < 1.5


def test_a_cmyk_profile_is_applied_and_left_out(tmp_path):
    cmyk = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    inks = PIL.Image.fromarray(quantize(picture(4)), "CMYK")
    inks.save(tmp_path / "a.tif", icc_profile=cmyk)
    source = ImageCms.ImageCmsProfile(BytesIO(cmyk))
    srgb = ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(inks, source, srgb, 1, outputMode="RGB"))
    image = read(tmp_path / "a.tif")
    assert image.metadata.icc == b""
    assert np.abs(image.rgb * 255 - expected).mean() < 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_associated_alpha_is_taken_out_of_the_colour(tmp_path, kind):
    straight = picture(4)
    straight[..., 3] = straight[..., 3] / 2 + 0.5
    mixed = straight.copy()
    mixed[..., :3] *= straight[..., 3:]
    top = 1 if kind == np.float32 else np.iinfo(kind).max
    stored = mixed if kind == np.float32 else np.rint(mixed * top).astype(kind)
    image = read(associated(tmp_path / "a.tif", stored))
    assert np.abs(image.rgb - straight[..., :3]).max() < (0.01 if kind == np.uint8 else 1e-4)
    assert np.abs(image.alpha - straight[..., 3]).max() < (0.01 if kind == np.uint8 else 1e-4)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_further_frames_are_counted_and_the_first_is_read(tmp_path, form):
    frames = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a", form, save_all=True, append_images=frames[1:])
    header = open_image(tmp_path / "a").header
    assert header.frames == (1 if form == "PNG" else 3)  # what libpng reads has no other frames
    assert np.abs(read(tmp_path / "a").rgb - [1, 0, 0]).max() < 0.05


def test_sizes_are_corrected_and_a_stale_thumbnail_is_dropped(tmp_path):
    block = struct.pack("<2sHI", b"II", 42, 8)
    block += struct.pack("<H", 2) + struct.pack("<HHII", 0x0100, 4, 1, 53)
    block += struct.pack("<HHII", 0x8769, 4, 1, 80) + struct.pack("<I", 38)
    block += struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, 110)
    block += struct.pack("<HHII", 0x0202, 4, 1, 20) + bytes(4) + bytes(12)
    block += struct.pack("<H", 2) + struct.pack("<HHIHH", 0xA002, 3, 1, 53, 0)
    block += struct.pack("<HHIHH", 0xA003, 3, 1, 37, 0) + bytes(4)
    block += b"\xff\xd8thumbnail of old\xff\xd9"
    write(
        tmp_path / "a.png",
        Image(np.zeros((3, 70_000, 3), np.float32), metadata=Metadata(exif=block)),
    )
    kept = read(tmp_path / "a.png").metadata
    tags = PIL.Image.Exif()
    tags.load(kept.exif)
    inner = tags.get_ifd(0x8769)
    assert (tags[0x0100], inner[0xA002], inner[0xA003]) == (70_000, 70_000, 3)
    assert b"thumbnail" not in kept.exif
    assert dict(tags.get_ifd(0x0201)) == {}


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(tmp_path):
    write(tmp_path / "a.png", Image(np.zeros((100, 100, 3), np.float32)))
    with pytest.raises(ImageError, match="100x100 is larger than 9,999 pixels"):
        open_image(tmp_path / "a.png", most=9_999)


def test_heic_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic")
    with pytest.raises(ImageError, match=r"pip install 'mmsr\[heic\]'"):
        open_image(tmp_path / "a.heic")


def test_a_damaged_heic_is_refused_in_one_line(tmp_path):
    pytest.importorskip("pi_heif")
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic")
    with pytest.raises(ImageError, match="truncated or damaged"):
        open_image(tmp_path / "a.heic")


def test_a_name_that_is_no_text_is_read(tmp_path):
    path = tmp_path / b"caf\xe9.png".decode(errors="surrogateescape")
    write(path, Image(picture()))
    assert read(path).rgb.shape == (37, 53, 3)


def test_brackets_in_a_name_are_no_options(tmp_path):
    write(tmp_path / "a[page=1].tif", Image(picture()))
    assert read(tmp_path / "a[page=1].tif").rgb.shape == (37, 53, 3)
