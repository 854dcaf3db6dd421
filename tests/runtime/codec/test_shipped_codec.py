"""The codec that ships with mmsr: what its files hold, and that it is worth having."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from codecs_made import photograph
from sklearn.datasets import load_sample_images

from mmsr_core.cli.codecs import open_codec
from mmsr_core.measure.codecs.contenders import standard_codecs
from mmsr_core.measure.codecs.curve import bd_rate, decibels
from mmsr_core.measure.metrics import ms_ssim_rgb
from mmsr_core.runtime.codec.compress import Setting, compress_file
from mmsr_core.runtime.codec.file import Codecs, open_mmc
from mmsr_core.runtime.image import Image, open_image, read, write

GOLDEN = Path(__file__).parent / "golden.mmc"
"""photograph(72, 104, seed=5) at 6 bits a code, without a residual."""
NUMBERS = "ed4e91b8deb5cebb6abea3611b59f2792db8c512ea69b18e3260b3429af1ff1a"
"""SHA-256 of the numbers that every machine has to read from it."""


@pytest.fixture(scope="module")
def codecs():
    codec = open_codec("resgdn@1.2.0", "cpu", threads=1)
    return Codecs(lambda name, version: codec)


def test_the_golden_file_holds_the_same_numbers_for_ever(codecs):
    opened = open_mmc(GOLDEN, 2**20, codecs)
    assert hashlib.sha256(opened.numbers.tobytes()).hexdigest() == NUMBERS


def test_any_number_of_threads_makes_the_same_picture_of_the_golden_file():
    pictures = []
    for threads in (1, 2, 3):
        codec = open_codec("resgdn@1.2.0", "cpu", threads)
        opened = open_image(GOLDEN, codecs=Codecs(lambda name, version, codec=codec: codec))
        pictures.append(np.concatenate(list(opened.colour.strips(50))))
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])
    assert np.abs(pictures[0] - photograph(72, 104, seed=5)).mean() < 0.05


def test_it_takes_fewer_bits_than_jpeg_and_webp_for_the_same_ms_ssim(codecs, tmp_path):
    """Middling rates of a part of scikit-learn's photograph of a temple."""
    pixels = load_sample_images().images[0][100:356, 200:456]
    write(tmp_path / "photo.png", Image(pixels.astype(np.float32) / 255))
    original = read(tmp_path / "photo.png").rgb
    codec = codecs.find("resgdn", "1.2.0")
    ours = []
    for bits in (5, 6, 7, 8):
        small = tmp_path / f"{bits}.mmc"
        compress_file(codec, tmp_path / "photo.png", small, Setting(bits))
        opened = open_image(small, codecs=codecs)
        decoded = np.concatenate(list(opened.colour.strips(64)))
        ours.append((8 * small.stat().st_size / 256**2, decibels(ms_ssim_rgb(decoded, original))))
    for contender in standard_codecs():
        if contender.name not in ("jpeg", "webp"):
            continue
        theirs = []
        for setting in contender.settings[1:6]:
            data = contender.encode(pixels, setting)
            decoded = contender.decode(data).astype(np.float32) / 255
            theirs.append((8 * len(data) / 256**2, decibels(ms_ssim_rgb(decoded, original))))
        assert bd_rate(theirs, ours) < -0.05, contender.name
