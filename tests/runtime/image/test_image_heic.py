"""HEIC: files made here from one HEVC picture, since nothing at hand writes them."""

import struct
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import open_image, read

av = pytest.importorskip("av")
pytest.importorskip("pi_heif")
if "libx265" not in av.codecs_available:
    pytest.skip("this PyAV encodes no HEVC", allow_module_level=True)

SIDE = 64


def gradient():
    """Red grows to the right, green downwards."""
    ramp = np.linspace(40, 220, SIDE).astype(np.uint8)
    pixels = np.full((SIDE, SIDE, 3), 60, np.uint8)
    pixels[..., 0], pixels[..., 1] = ramp[None], ramp[:, None]
    return pixels


def box(kind, *bodies):
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind, version, *bodies):
    return box(kind, struct.pack(">I", version << 24), *bodies)


def hevc():
    """One intra picture: its parameter sets by type, and its slice, lengths in front."""
    coder = av.CodecContext.create("libx265", "w")
    coder.width = coder.height = SIDE
    coder.pix_fmt, coder.time_base = "yuv420p", Fraction(1, 25)
    coder.options = {"x265-params": "log-level=none:crf=4:keyint=1:range=full:colormatrix=bt709"}
    frame = av.VideoFrame.from_ndarray(gradient(), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="JPEG")
    data = b"".join(bytes(packet) for one in (frame, None) for packet in coder.encode(one))
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
    sets = {unit[0] >> 1 & 63: unit for unit in units}
    slices = [unit for unit in units if (unit[0] >> 1 & 63) < 32]
    return sets, b"".join(struct.pack(">I", len(unit)) + unit for unit in slices)


def heic(path, exif=b"", turns=0):
    """A HEIC file; `turns` of 90° against the clock are asked for."""
    sets, pixels = hevc()
    profile = sets[33][3:15]
    config = b"\1" + profile + struct.pack(">HBBBBHB", 0xF000, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0x0F)
    config += b"\3" + b"".join(
        struct.pack(">BHH", 0x80 | kind, 1, len(sets[kind])) + sets[kind] for kind in (32, 33, 34)
    )
    ispe = full(b"ispe", 0, struct.pack(">II", SIDE, SIDE))
    properties = [box(b"hvcC", config), ispe]
    properties.append(box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 1, 0x80)))
    properties += [box(b"irot", bytes([turns]))] if turns else []
    links = bytes([0x80 | 1, *range(2, len(properties) + 1)])
    told = struct.pack(">I", 0) + exif

    def meta(at):
        items = full(b"infe", 2, struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0")
        items += full(b"infe", 2, struct.pack(">HH4s", 2, 0, b"Exif"), b"\0")
        places = struct.pack(">HHHII", 1, 0, 1, at, len(pixels))
        places += struct.pack(">HHHII", 2, 0, 1, at + len(pixels), len(told))
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full(b"pitm", 0, struct.pack(">H", 1)),
            full(b"iloc", 0, struct.pack(">BBH", 0x44, 0, 2), places),
            full(b"iinf", 0, struct.pack(">H", 2), items),
            full(b"iref", 0, box(b"cdsc", struct.pack(">HHH", 2, 1, 1))),
            box(
                b"iprp",
                box(b"ipco", *properties),
                full(b"ipma", 0, struct.pack(">IHB", 1, 1, len(links)), links),
            ),
        )

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", pixels, told))
    return path


def test_a_heic_is_read(tmp_path):
    image = read(heic(tmp_path / "a.heic"))
    assert np.abs(image.rgb * 255 - gradient()).mean() < 4


def test_exif_of_a_heic_is_kept_and_its_orientation_not_applied_twice(tmp_path):
    tags = PIL.Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", 8
    block = tags.tobytes().removeprefix(b"Exif\0\0")
    image = read(heic(tmp_path / "a.heic", block, turns=1))
    assert np.abs(image.rgb * 255 - np.rot90(gradient())).mean() < 4
    kept = PIL.Image.Exif()
    kept.load(image.metadata.exif)
    assert (kept[0x010F], kept[0x0112]) == ("Maker", 1)


def test_too_many_pixels_in_a_heic_are_refused(tmp_path):
    with pytest.raises(ImageError, match="64x64 is larger than 4,000 pixels"):
        open_image(heic(tmp_path / "a.heic"), most=4_000)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_heic_is_refused_in_one_line(tmp_path, capfd, share):
    path = heic(tmp_path / "a.heic")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match="truncated or damaged"):
        read(path)
    assert capfd.readouterr() == ("", "")
