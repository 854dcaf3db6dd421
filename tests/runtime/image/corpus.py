"""Every kind of image file that mmsr reads and that can be made here, by other libraries than ours.

Pixels are smooth, so that lossy formats stay near them; the picture has no symmetry, so that a
wrong orientation shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pyvips

HEIGHT, WIDTH = 28, 40
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="%d" '
    b'exif:PixelXDimension="40" dc:title="A title"/></rdf:RDF></x:xmpmeta>'
)
ORIENTED = ("PNG", "JPEG", "WEBP", "TIFF")
PROFILED = (*ORIENTED, "AVIF")


@dataclass(frozen=True)
class Sample:
    """One file to be: its name, and how it is written."""

    name: str
    suffix: str
    save: Callable[[Path], None]


def colours(bands=3, kind=np.uint8, top=1.0):
    """Smooth samples (h,w,bands); an integer kind fills its range."""
    rng = np.random.default_rng(11)
    coarse = rng.random((3, 4, 4))[..., :bands]
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    smooth = smooth.reshape(HEIGHT, WIDTH, bands)
    if np.issubdtype(kind, np.floating):
        return (smooth * top).astype(kind)
    return np.rint(smooth * np.iinfo(kind).max).astype(kind)


@cache
def profile(name):
    """An ICC profile that libvips brings: "srgb", "p3" or "cmyk"."""
    return bytes(pyvips.Operation.call("profile_load", name))


def exif(orientation, endian="<"):
    """EXIF as a camera writes it: maker, exposure, position, sizes, a MakerNote, a thumbnail."""
    tags = PIL.Image.Exif()
    tags.endian = endian
    tags[0x010F] = "Maker"
    tags[0x0112] = orientation
    tags[0x8298] = "Somebody 2024"
    tags[0x9C9B] = b"t\0i\0\0\0"
    inner = tags.get_ifd(0x8769)
    inner[0x829A] = 1.0 / 125
    inner[0x9003] = "2024:02:29 12:00:00"
    inner[0x927C] = b"Note\0\1\2\3" * 5
    inner[0xA002], inner[0xA003] = WIDTH, HEIGHT
    place = tags.get_ifd(0x8825)
    place[1], place[2] = "N", (52.0, 31.0, 12.5)
    return tags


def pil(mode="RGB"):
    """The picture in one of Pillow's modes."""
    if mode in ("LA", "RGBA"):
        return PIL.Image.fromarray(colours(len(mode)))
    return PIL.Image.fromarray(colours()).convert(mode)


def by_pillow(form, mode="RGB", **options):
    def save(path):
        picture = pil("RGB").quantize(32) if mode == "P" else pil(mode)
        given = {name: value() if callable(value) else value for name, value in options.items()}
        picture.save(path, form, **given)

    return save


def by_vips(bands, kind, saver, **options):
    def save(path):
        samples = colours(bands, kind)
        names = {np.uint8: "uchar", np.uint16: "ushort", np.float32: "float"}
        picture = pyvips.Image.new_from_memory(samples.tobytes(), WIDTH, HEIGHT, bands, names[kind])
        grey, colour = {np.uint16: ("grey16", "rgb16")}.get(kind, ("b-w", "srgb"))
        picture = picture.copy(interpretation=grey if bands < 3 else colour)
        getattr(picture, saver)(str(path), **options)

    return save


def samples() -> Iterator[Sample]:
    """All of them."""
    yield from kinds()
    for form in ORIENTED:
        for turn in range(1, 9):
            for mode in ("RGB", "L"):
                for endian in "<>":
                    told = {"exif": lambda turn=turn, endian=endian: exif(turn, endian)}
                    if form != "PNG":
                        told["xmp"] = XMP % turn
                    yield Sample(
                        f"{form}-{mode}-turn{turn}-{'little' if endian == '<' else 'big'}",
                        f".{form.lower()}",
                        by_pillow(form, mode, **told),
                    )
    for form in PROFILED:
        modes = ("RGB", "RGBA") if form != "JPEG" else ("RGB",)
        for mode in modes:
            for icc in ("srgb", "p3"):
                for told in ("bare", "dpi", "all"):
                    options = {"icc_profile": lambda icc=icc: profile(icc)}
                    options |= {"subsampling": "4:4:4"} if form == "AVIF" else {}
                    if told != "bare":
                        options["dpi"] = (300, 150)
                    if told == "all":
                        options |= {"exif": lambda: exif(1)}
                        options |= {} if form == "PNG" else {"xmp": XMP % 1}
                    yield Sample(
                        f"{form}-{mode}-{icc}-{told}",
                        f".{form.lower()}",
                        by_pillow(form, mode, **options),
                    )


def kinds() -> Iterator[Sample]:
    """Every depth, colour type, alpha and coding."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        for name, options in {"plain": {}, "stored": {"compress_level": 0}}.items():
            yield Sample(f"PNG-{mode}-{name}", ".png", by_pillow("PNG", mode, **options))
    yield Sample("PNG-P-alpha", ".png", by_pillow("PNG", "P", transparency=3))
    yield Sample("PNG-RGB-key", ".png", by_pillow("PNG", "RGB", transparency=(9, 9, 9)))
    for mode in ("L", "RGB", "CMYK"):
        for name, options in {
            "baseline": {},
            "progressive": {"progressive": True},
            "halved": {"subsampling": 2},
            "full": {"subsampling": 0},
        }.items():
            yield Sample(
                f"JPEG-{mode}-{name}", ".jpg", by_pillow("JPEG", mode, quality=97, **options)
            )
    yield Sample(
        "JPEG-CMYK-profile",
        ".jpg",
        by_pillow("JPEG", "CMYK", quality=97, icc_profile=lambda: profile("cmyk")),
    )
    for mode in ("RGB", "RGBA"):
        for name, options in {"lossy": {"quality": 97}, "lossless": {"lossless": True}}.items():
            yield Sample(f"WEBP-{mode}-{name}", ".webp", by_pillow("WEBP", mode, **options))
    for mode in ("L", "RGB", "RGBA"):
        yield Sample(
            f"AVIF-{mode}", ".avif", by_pillow("AVIF", mode, quality=95, subsampling="4:4:4")
        )
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr"):
        yield Sample(f"TIFF-{mode}", ".tif", by_pillow("TIFF", mode))
    for coding in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield Sample(f"TIFF-RGB-{coding}", ".tif", by_pillow("TIFF", "RGB", compression=coding))
    yield Sample(
        "TIFF-CMYK-profile",
        ".tif",
        by_pillow("TIFF", "CMYK", icc_profile=lambda: profile("cmyk")),
    )
    for mode in ("L", "RGB", "P"):
        yield Sample(f"BMP-{mode}", ".bmp", by_pillow("BMP", mode, dpi=(300, 150)))
        yield Sample(f"GIF-{mode}", ".gif", by_pillow("GIF", mode))
    yield Sample("GIF-alpha", ".gif", by_pillow("GIF", "P", transparency=5))
    yield Sample(
        "GIF-frames",
        ".gif",
        by_pillow("GIF", "RGB", save_all=True, append_images=lambda: [pil().rotate(180)]),
    )
    yield Sample(
        "TIFF-pages",
        ".tif",
        by_pillow("TIFF", "RGB", save_all=True, append_images=lambda: [pil().rotate(180)]),
    )
    for bands in (1, 2, 3, 4):
        yield Sample(f"PNG-16-{bands}", ".png", by_vips(bands, np.uint16, "pngsave"))
        yield Sample(
            f"PNG-8-{bands}-interlaced", ".png", by_vips(bands, np.uint8, "pngsave", interlace=True)
        )
        for kind, bits in ((np.uint8, 8), (np.uint16, 16), (np.float32, 32)):
            for name, options in {
                "strips": {},
                "tiles": {"tile": True, "tile_width": 16, "tile_height": 16},
                "big": {"bigtiff": True, "compression": "deflate"},
            }.items():
                yield Sample(
                    f"TIFF-{bits}-{bands}-{name}",
                    ".tif",
                    by_vips(bands, kind, "tiffsave", **options),
                )
    for bits in (10, 12):
        yield Sample(
            f"AVIF-{bits}",
            ".avif",
            by_vips(3, np.uint16, "heifsave", Q=97, compression="av1", bitdepth=bits),
        )
