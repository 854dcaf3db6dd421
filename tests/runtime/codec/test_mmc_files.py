import resource
import struct
import time
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from codecs_made import photograph

from mmsr_core.errors import ImageError, MmsrError
from mmsr_core.runtime.codec.compress import Wanted, compress_file
from mmsr_core.runtime.codec.container import Contents, Kind
from mmsr_core.runtime.codec.decompress import decompress_file
from mmsr_core.runtime.codec.file import Codecs
from mmsr_core.runtime.codec.manifest import QualityPoint
from mmsr_core.runtime.image import Image, Metadata, Resolution, open_image, read, write

POINTS = [
    {"bits": 3, "qp": None, "bpp": 0.2, "psnr": 25, "ms_ssim": 0.8},
    {"bits": 5, "qp": None, "bpp": 0.4, "psnr": 28, "ms_ssim": 0.9},
    {"bits": 7, "qp": None, "bpp": 0.6, "psnr": 30, "ms_ssim": 0.95},
]


@pytest.fixture
def compressed(codec, tmp_path):
    """compressed(image, **wanted): an .mmc file of it."""

    def make(image, **wanted):
        write(tmp_path / "in.tiff", image)
        compress_file(codec, tmp_path / "in.tiff", tmp_path / "out.mmc", Wanted(**wanted))
        return tmp_path / "out.mmc"

    return make


def samples(path, codecs):
    return np.concatenate(list(open_image(path, codecs=codecs).colour.strips(50)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (33, 1), (8, 8), (61, 90)])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_images_of_any_size_and_depth_are_compressed(compressed, codecs, shape, bits):
    image = photograph(*shape)
    header = open_image(compressed(Image(image, bits=bits)), codecs=codecs).header
    assert (header.height, header.width, header.bits) == (*shape, bits)


def test_a_file_decodes_to_nearly_its_image(compressed, codecs):
    corners = np.array([[(0.2, 0.3, 0.4), (0.7, 0.6, 0.3)], [(0.5, 0.2, 0.8), (0.4, 0.9, 0.6)]])
    smooth = cv2.resize(corners.astype(np.float32), (100, 80))
    found = samples(compressed(Image(smooth), quality=1.0), codecs)
    inside = (slice(16, -16), slice(16, -16))  # the encoder's blur darkens the border
    assert np.sqrt(np.square(found - smooth)[inside].mean()) < 0.03


def test_more_quality_is_a_larger_and_better_file(compressed, codecs):
    image = photograph(96, 96)
    sizes, errors = [], []
    for quality in (0.2, 0.5, 0.9):
        path = compressed(Image(image), quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(np.square(samples(path, codecs) - image).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_the_quality_picks_from_the_codecs_own_table(codec, tmp_path):
    points = tuple(QualityPoint(**point) for point in POINTS)
    manifest = codec.manifest.model_copy(update={"qualities": points})
    tabled = replace(codec, bundle=replace(codec.bundle, manifest=manifest))
    write(tmp_path / "in.png", Image(photograph(64, 64)))
    for quality, bits in ((0.0, 3), (0.5, 5), (1.0, 7)):
        facts = compress_file(tabled, tmp_path / "in.png", tmp_path / "o.mmc", Wanted(quality))
        assert facts["bits"] == bits


@pytest.mark.parametrize("bpp", [0.35, 0.6, 1.0])
def test_a_rate_is_kept_and_used(codec, tmp_path, bpp):
    write(tmp_path / "in.png", Image(photograph(256, 256)))
    facts = [
        compress_file(codec, tmp_path / "in.png", tmp_path / "o.mmc", wanted)
        for wanted in (Wanted(bpp=bpp), Wanted(quality=1.0))
    ]
    assert facts[0]["bpp"] <= bpp + 0.02  # the header and the layers' table come on top
    assert facts[0]["bits"] == 8 or facts[0]["bpp"] > 0.5 * bpp


def test_a_rate_that_cant_be_kept_is_refused(compressed):
    with pytest.raises(ImageError, match="bits a pixel are too few"):
        compressed(Image(photograph(64, 64)), bpp=0.001)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_comes_back_exactly(compressed, codecs, tmp_path, bits):
    alpha = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30)
    path = compressed(Image(photograph(40, 30), alpha, bits=bits))
    found = open_image(path, codecs=codecs)
    kept = read(tmp_path / "in.tiff").alpha
    assert (np.concatenate(list(found.alpha.strips(7))) == kept).all()


def test_a_grey_image_stays_grey(compressed, codecs):
    grey = np.repeat(photograph(40, 30)[..., :1], 3, axis=2)
    found = open_image(compressed(Image(grey, grey=True)), codecs=codecs)
    assert found.header.grey
    colour = next(found.colour.strips(40))
    assert (colour[..., :1] == colour).all()


def test_metadata_comes_back(compressed, codecs, tmp_path):
    icc = bytes(range(200))
    metadata = Metadata(icc=icc, xmp=b"<x:xmpmeta/>", resolution=Resolution(72, 96))
    write(tmp_path / "told.tiff", Image(photograph(20, 20), metadata=metadata))
    told = read(tmp_path / "told.tiff").metadata
    path = compressed(Image(photograph(20, 20), metadata=metadata))
    decompress_file(codecs, path, tmp_path / "back.tiff")
    assert read(tmp_path / "back.tiff").metadata == told


def test_a_file_cut_within_its_base_layer_is_refused(compressed, codecs):
    path = compressed(Image(photograph(64, 64)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageError, match="truncated within its base layer"):
        open_image(path, codecs=codecs)


def test_a_file_of_another_codec_is_refused(compressed, codec):
    path = compressed(Image(photograph(16, 16)))
    changed = codec.manifest.model_copy(update={"files": dict.fromkeys(codec.manifest.files, "0")})
    other = replace(codec, bundle=replace(codec.bundle, manifest=changed))
    with pytest.raises(ImageError, match=r"made with another tiny@1\.0\.0"):
        open_image(path, codecs=Codecs(lambda name, version: other))


def test_without_codecs_a_file_is_refused(compressed):
    with pytest.raises(ImageError, match="mmsr decompress"):
        open_image(compressed(Image(photograph(16, 16))))


def test_a_file_of_too_many_pixels_is_refused_before_it_is_decoded(compressed, codecs):
    with pytest.raises(ImageError, match="64x48 pixels"):
        open_image(compressed(Image(photograph(48, 64))), most=3000, codecs=codecs)


def test_a_newer_format_is_refused(compressed, codecs):
    path = compressed(Image(photograph(16, 16)))
    data = bytearray(path.read_bytes())
    data[4] = 2
    path.write_bytes(data)
    with pytest.raises(ImageError, match="upgrade mmsr"):
        open_image(path, codecs=codecs)


def test_a_layer_of_an_unknown_kind_is_passed_over(compressed, codecs):
    path = compressed(Image(photograph(16, 16)))
    before = samples(path, codecs)
    data = path.read_bytes()
    (size,) = struct.unpack_from("<H", data, 5)
    body, rest = data[7 : 7 + size], data[11 + size :]
    count_at = len(body) - 9 - 1
    body = body[:count_at] + bytes([2]) + body[count_at + 1 :]
    body += struct.pack("<BII", 200, 3, zlib.crc32(b"new"))
    start = data[:5] + struct.pack("<H", len(body)) + body
    path.write_bytes(start + struct.pack("<I", zlib.crc32(start)) + rest + b"new")
    assert (samples(path, codecs) == before).all()


def test_hostile_files_are_refused_or_read_quickly_and_in_little_memory(compressed, codecs):
    alpha = np.full((50, 60), 0.5, np.float32)
    metadata = Metadata(xmp=b"<x:xmpmeta/>")
    path = compressed(Image(photograph(50, 60), alpha, metadata=metadata))
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    lines = []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, of all tests so far
    started = time.perf_counter()
    for index in range(700):
        path.write_bytes(spoiled(sound, index, rng))
        try:
            samples(path, codecs)
        except MmsrError as error:
            lines.append(str(error))
    assert len(lines) > 500
    assert not any("\n" in line for line in lines)
    assert time.perf_counter() - started < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**20


def spoiled(sound, index, rng):
    """A file cut short, with bits flipped, or with bits flipped and sound checksums."""
    data = bytearray(sound)
    if index % 3 == 0:
        return sound[: rng.integers(0, len(sound))]
    for _ in range(rng.integers(1, 6)):
        data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
    return bytes(data) if index % 3 == 1 else mended(data)


def mended(data):
    """The same with every checksum made right, as far as the header can be read."""
    (size,) = struct.unpack_from("<H", data, 5)
    end = 7 + size
    if end + 4 > len(data):
        return bytes(data)
    for number in range(16):
        at = end - 9 * (number + 1)
        if data[at - 1] == number + 1:
            place = end + 4
            for entry in range(at, end, 9):
                (length,) = struct.unpack_from("<I", data, entry + 1)
                struct.pack_into("<I", data, entry + 5, zlib.crc32(data[place : place + length]))
                place += length
            break
    struct.pack_into("<I", data, end, zlib.crc32(data[:end]))
    return bytes(data)


def test_the_mended_header_of_a_sound_file_is_its_own(compressed):
    data = compressed(Image(photograph(16, 16))).read_bytes()
    assert mended(bytearray(data)) == data


def test_the_header_tells_the_layers(compressed):
    path = compressed(Image(photograph(16, 16), metadata=Metadata(xmp=b"<x:xmpmeta/>")))
    contents = Contents.read(path)
    assert [layer.kind for layer in contents.layers] == [Kind.BASE, Kind.XMP]
    assert sum(layer.size for layer in contents.layers) < path.stat().st_size
    assert (contents.codec, contents.version) == ("tiny", "1.0.0")
