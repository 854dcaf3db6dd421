"""Every kind of file goes through, twice as large, and is compared by other libraries than ours."""

from io import BytesIO

import cv2
import numpy as np
import PIL.Image
import pytest
import pyvips
from corpus import kinds, profile, samples
from PIL import ImageCms, ImageOps

from mmsr_core.runtime.image import Sink, open_image
from mmsr_core.runtime.image.formats import FORMATS, format_of

ALL = list(samples())
EXACT, CONVERTED, LOSSY = (1e-3, 0.006), (0.01, 0.08), (0.02, 0.2)
"""The mean and the largest difference in linear light: of 8 bits rounded once; of colours that two
libraries converted, some out of gamut; of a format that loses something, on doubled pixels."""


def doubled(source, target):
    """Read and written with every pixel four times; the header that was read."""
    picture = open_image(source)
    header = picture.header
    with Sink(target, 2 * header.height, 2 * header.width, header) as sink:
        alpha = picture.alpha.strips(7) if picture.alpha else None
        for rows in picture.colour.strips(7):
            cover = next(alpha).repeat(2, 0).repeat(2, 1) if alpha else None
            sink.write(rows.repeat(2, 0).repeat(2, 1), cover)
    return header


def linear(path):
    """A file's pixels by Pillow (or OpenCV where it has no mode for them), upright and linear.

    Through the file's profile to sRGB, (h,w,3) multiplied by alpha, and alpha (h,w).
    """
    deep = deep_samples(path)
    if deep is not None:
        alpha = deep[..., -1] if deep.shape[2] in (2, 4) else np.ones(deep.shape[:2])
        colour = deep[..., :3] if deep.shape[2] >= 3 else deep[..., :1].repeat(3, 2)
    else:
        colour, alpha = by_pillow(path)
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return light * alpha[..., None], alpha


def by_pillow(path):
    """Colour (h,w,3) in sRGB and alpha (h,w), in [0,1], of a file of 8 bits."""
    picture = PIL.Image.open(BytesIO(path.read_bytes()))  # from a path it turns some TIFFs wrongly
    picture.load()
    icc = picture.info.get("icc_profile") or b""
    if picture.mode == "CMYK":
        icc = icc or profile("cmyk")
    picture = ImageOps.exif_transpose(picture)
    srgb = ImageCms.createProfile("sRGB")
    if picture.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    wide = picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
    if picture.mode != "CMYK":
        picture = picture.convert("RGBA" if wide else "RGB")
    alpha = np.asarray(picture)[..., 3] / 255 if wide else np.ones(picture.size[::-1])
    if icc[16:20] in (b"RGB ", b"CMYK"):
        bare = picture if picture.mode == "CMYK" else picture.convert("RGB")
        own = ImageCms.ImageCmsProfile(BytesIO(icc))
        picture = ImageCms.profileToProfile(bare, own, srgb, 1, outputMode="RGB")
    return np.asarray(picture)[..., :3] / 255, alpha


def deep_samples(path):
    """Samples of a PNG or TIFF of 16 bits or floats, in [0,1]; None for other files.

    By OpenCV; by libvips where it alone can read them: TIFFs of grey with alpha.
    """
    if path.read_bytes()[4:8] == b"ftyp":
        return None
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype == np.uint8:
        if is_known_to_pillow(path):
            return None
        read = pyvips.Image.new_from_file(str(path)).numpy()
    samples = read.reshape(*read.shape[:2], -1) / (1.0 if read.dtype == np.float32 else 65535.0)
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]] if samples.shape[2] > 2 else samples


def is_known_to_pillow(path):
    try:
        PIL.Image.open(path)
    except PIL.UnidentifiedImageError:
        return False
    return True


def told(path):
    """Metadata as Pillow reads it: EXIF by group and tag, XMP, ICC and resolution."""
    if not is_known_to_pillow(path):
        return {"main": {}, "exif": {}, "gps": {}, "xmp": None, "icc": None, "dpi": None}
    picture = PIL.Image.open(path)
    picture.load()
    tags = picture.getexif()
    groups = {group: dict(tags.get_ifd(group)) for group in (0x8769, 0x8825)}
    main = {tag: tags[tag] for tag in (0x010F, 0x0112, 0x8298, 0x9C9B) if tag in tags}
    return {
        "main": main,
        "exif": groups[0x8769],
        "gps": groups[0x8825],
        "xmp": picture.info.get("xmp"),
        "icc": picture.info.get("icc_profile"),
        "dpi": picture.info.get("dpi"),
    }


def bounds(sample, target):
    """What may differ, on the mean and at most."""
    if format_of(target).quality:
        return LOSSY
    return (
        CONVERTED
        if any(kind in sample.name for kind in ("CMYK", "LAB", "YCbCr", "AVIF"))
        else EXACT
    )


def target_of(sample, folder):
    suffix = ".png" if sample.suffix == ".gif" else sample.suffix
    return folder / f"large{suffix}"


def test_the_corpus_has_at_least_200_files():
    assert len({sample.name for sample in ALL}) == len(ALL) >= 200


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample.name)
def test_a_file_of_the_corpus_goes_through(tmp_path, sample):
    source, target = tmp_path / f"small{sample.suffix}", target_of(sample, tmp_path)
    sample.save(source)
    header = doubled(source, target)

    colour, alpha = linear(source)
    large, cover = linear(target)
    assert large.shape == (2 * header.height, 2 * header.width, 3)
    assert np.abs(cover - alpha.repeat(2, 0).repeat(2, 1)).max() < 0.02
    mean, most = bounds(sample, target)
    assert np.abs(large - colour.repeat(2, 0).repeat(2, 1)).mean() < mean
    assert np.abs(large - colour.repeat(2, 0).repeat(2, 1)).max() < most

    before, after = told(source), told(target)
    assert after["main"].pop(0x0112, 1) == 1
    before["main"].pop(0x0112, None)
    for tag, size in ((0xA002, 2 * header.width), (0xA003, 2 * header.height)):
        if tag in before["exif"]:
            before["exif"][tag] = size
    for field in ("main", "exif", "gps"):
        assert after[field] == before[field]
    assert (after["xmp"] or b"") == corrected(before["xmp"] or b"", header)
    foreign = (before["icc"] or b"")[16:20] not in (b"RGB ", b"GRAY")
    assert after["icc"] == (None if foreign else before["icc"])
    if before["dpi"] and format_of(target).name not in ("webp", "avif"):
        assert after["dpi"] == pytest.approx(before["dpi"], abs=0.02)

    again = open_image(target).header
    kept = format_of(target)
    assert again.bits == min(header.bits, kept.bits[-1])
    assert again.alpha == (header.alpha and kept.alpha)


def corrected(xmp, header):
    for turn in range(2, 9):
        xmp = xmp.replace(b'tiff:Orientation="%d"' % turn, b'tiff:Orientation="1"')
    return xmp.replace(b'PixelXDimension="40"', b'PixelXDimension="%d"' % (2 * header.width))


@pytest.mark.parametrize("suffix", [form.suffixes[0] for form in FORMATS])
@pytest.mark.parametrize("sample", list(kinds())[::6], ids=lambda sample: sample.name)
def test_a_file_becomes_any_other_format(tmp_path, sample, suffix):
    source, target = tmp_path / f"small{sample.suffix}", tmp_path / f"large{suffix}"
    sample.save(source)
    header = doubled(source, target)
    colour, alpha = linear(source)
    large, cover = linear(target)
    if header.alpha and not format_of(target).alpha:
        return  # it lies over white now, which other tests look at
    assert np.abs(cover - alpha.repeat(2, 0).repeat(2, 1)).max() < 0.04
    mean, most = bounds(sample, target)
    assert np.abs(large - colour.repeat(2, 0).repeat(2, 1)).mean() < mean
    assert np.abs(large - colour.repeat(2, 0).repeat(2, 1)).max() < most


def test_a_picture_is_read_alike_whether_it_is_held_or_not(tmp_path):
    for sample in list(kinds())[::3]:
        sample.save(tmp_path / "a")
        held, streamed = open_image(tmp_path / "a"), open_image(tmp_path / "a", hold=0)
        assert held.header == streamed.header
        for one, other in ((held.colour, streamed.colour), (held.alpha, streamed.alpha)):
            if one is not None:
                first = np.concatenate(list(one.strips(5)))
                assert np.array_equal(first, np.concatenate(list(other.strips(28))))
