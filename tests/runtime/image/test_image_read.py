import cv2
import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import find_images, quantize, read


def picture(height=37, width=53, channels=3, bits=8):
    """Smooth colour, exactly representable in `bits`."""
    rng = np.random.default_rng(7)
    coarse = rng.random((4, 5, channels))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantize(smooth, bits).reshape(height, width, channels) / np.float32(2**bits - 1)


def pillow():
    return PIL.Image.fromarray(quantize(picture()))


def saved(path, form, picture=None, **options):
    (picture or pillow()).save(path, form, **options)
    return path


def exif(orientation):
    tags = PIL.Image.Exif()
    tags[0x010F] = "Maker"
    tags[0x0112] = orientation
    return tags


# Reading


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_pixels_are_read_as_the_file_holds_them(tmp_path, form):
    image = read(saved(tmp_path / "a", form))
    assert image.rgb.dtype == np.float32
    assert np.array_equal(quantize(image.rgb), quantize(picture()))
    assert (image.alpha, image.bits, image.grey) == (None, 8, False)


def test_a_palette_becomes_rgb(tmp_path):
    palette = pillow().convert("P")
    image = read(saved(tmp_path / "a.png", "PNG", palette))
    assert np.array_equal(quantize(image.rgb), np.asarray(palette.convert("RGB")))


def test_cmyk_without_a_profile_becomes_rgb(tmp_path):
    colours = PIL.Image.new("CMYK", (4, 1))
    for x, ink in enumerate([(0, 0, 0, 0), (0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 255)]):
        colours.putpixel((x, 0), ink)
    paper, red, green, black = read(saved(tmp_path / "a.tif", "TIFF", colours)).rgb[0]
    assert paper.min() > 0.97
    assert red[0] > 3 * max(red[1:])
    assert green[1] > 1.4 * max(green[::2])
    assert black.max() < 0.25


def test_a_grey_file_is_known_as_grey(tmp_path):
    image = read(saved(tmp_path / "a.png", "PNG", pillow().convert("L")))
    assert image.grey
    assert image.rgb.shape == (37, 53, 3)


def test_a_grey_file_with_alpha_is_known_as_grey(tmp_path):
    image = read(saved(tmp_path / "a.png", "PNG", pillow().convert("LA")))
    assert image.grey
    assert np.all(image.alpha == 1)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(tmp_path, form, orientation):
    path = saved(tmp_path / "a", form, exif=exif(orientation))
    upright = ImageOps.exif_transpose(PIL.Image.open(path)).convert("RGB")
    expected = np.asarray(upright, np.float32) / 255
    assert read(path).rgb.shape == expected.shape
    assert np.abs(read(path).rgb - expected).max() < 0.03


@pytest.mark.parametrize("endian", ["<", ">"])
def test_an_applied_orientation_is_reset_in_the_kept_exif(tmp_path, endian):
    tags = exif(6)
    tags.endian = endian
    image = read(saved(tmp_path / "a.jpg", "JPEG", exif=tags))
    kept = PIL.Image.Exif()
    kept.load(image.metadata.exif)
    assert (kept[0x0112], kept[0x010F]) == (1, "Maker")


def test_an_applied_orientation_is_reset_in_the_kept_xmp(tmp_path):
    xmp = b'<rdf:Description tiff:Orientation="6" tiff:Make="6"/>'
    image = read(saved(tmp_path / "a.jpg", "JPEG", exif=exif(6), xmp=xmp))
    assert image.metadata.xmp == b'<rdf:Description tiff:Orientation="1" tiff:Make="6"/>'


def test_malformed_exif_leaves_the_pixels_as_they_are(tmp_path):
    path = saved(tmp_path / "a.png", "PNG", exif=b"MM\0*\0\0\0\x08\0\x09\x01")
    assert read(path).rgb.shape == (37, 53, 3)


# Refusing


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, capfd, form, share):
    path = saved(tmp_path / "a", form)
    data = path.read_bytes()
    path.write_bytes(data[: max(1, int(len(data) * share))])
    with pytest.raises(ImageError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_changed_byte_is_refused_in_one_line(tmp_path, capfd):
    path = saved(tmp_path / "a.png", "PNG")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match="truncated or damaged"):
        read(path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "a.png")


def test_reading_a_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        read(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match="is empty"):
        read(tmp_path / "a.png")


def test_text_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("not an image" * 20)
    with pytest.raises(ImageError, match="not an image"):
        read(tmp_path / "a.png")


def test_an_absurdly_large_image_is_refused(tmp_path):
    header = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    sides = (100_000).to_bytes(4, "little") * 2
    body = header + sides + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(500)
    (tmp_path / "a.bmp").write_bytes(body)
    with pytest.raises(ImageError, match="larger than 1,073,741,824 pixels"):
        read(tmp_path / "a.bmp")


# Finding


def test_a_folder_is_searched_below_and_sorted(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", "below/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)]
    assert found == ["a.png", "b.JPG", "below/c.tif"]


def test_a_file_is_found_whatever_its_suffix(tmp_path):
    (tmp_path / "photo.gif").touch()
    assert find_images(tmp_path / "photo.gif") == [tmp_path / "photo.gif"]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no image in this folder"):
        find_images(tmp_path)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no such file or folder"):
        find_images(tmp_path / "gone")
