import time
from dataclasses import replace

import numpy as np
import pytest
from codecs_made import photograph

from mmsr_core.errors import ImageError
from mmsr_core.runtime.codec import residual
from mmsr_core.runtime.codec.compress import Compressing, Setting, Wanted, compress_file
from mmsr_core.runtime.codec.entropy import Damaged
from mmsr_core.runtime.codec.file import open_mmc
from mmsr_core.runtime.codec.manifest import QualityPoint
from mmsr_core.runtime.image import Image, open_image, write

pytest.importorskip("pillow_heif")


def noise(height, width, size=0.1):
    rng = np.random.default_rng(0)
    return (photograph(height, width) - 0.5 + rng.normal(0, 0.05, (height, width, 3))).astype(
        np.float32
    ) * size


def coded(image, qp):
    rows = range(0, len(image), residual.TILE)
    return b"".join(residual.encode_rows(image[top : top + residual.TILE], qp) for top in rows)


def decoded(data, height, width):
    return np.concatenate(list(residual.decode_rows(data, height, width)))


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (64, 64), (65, 127)])
def test_a_residual_of_any_size_comes_back(shape):
    image = noise(*shape)
    found = decoded(coded(image, 10), *shape)
    assert found.shape == image.shape
    assert np.abs(found - image).mean() < 0.005


def test_a_residual_in_tiles_comes_back(monkeypatch):
    monkeypatch.setattr(residual, "TILE", 32)
    image = noise(70, 50)
    assert np.abs(decoded(coded(image, 10), 70, 50) - image).mean() < 0.005


def test_a_lower_quantiser_parameter_is_larger_and_better():
    image = noise(96, 96)
    files = [coded(image, qp) for qp in (45, 30, 15)]
    errors = [np.square(decoded(data, 96, 96) - image).mean() for data in files]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    assert errors == sorted(errors, reverse=True)


def test_a_residual_of_nothing_takes_little():
    assert len(coded(np.zeros((64, 64, 3), np.float32), 30)) < 200


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_a_residual_cut_short_is_damaged(cut):
    data = coded(noise(64, 64), 30)
    with pytest.raises(Damaged):
        decoded(data[:-cut], 64, 64)


def test_a_residual_of_another_size_is_damaged():
    with pytest.raises(Damaged):
        decoded(coded(noise(64, 64), 30), 64, 72)


@pytest.fixture
def layered(codec, tmp_path):
    """An .mmc file with a residual, and its image."""
    image = photograph(90, 70)
    write(tmp_path / "in.tiff", Image(image, bits=16))
    point = QualityPoint(bits=4, qp=20, bpp=1, psnr=30, ms_ssim=0.9)
    manifest = codec.manifest.model_copy(update={"qualities": (point,)})
    tabled = replace(codec, bundle=replace(codec.bundle, manifest=manifest))
    facts = compress_file(tabled, tmp_path / "in.tiff", tmp_path / "out.mmc", Wanted())
    assert facts["qp"] == 20
    return tmp_path / "out.mmc", image


def error(path, codecs, image):
    found = np.concatenate(list(open_image(path, codecs=codecs).colour.strips(50)))
    return float(np.square(found - image).mean())


def test_a_residual_makes_the_image_better(layered, codec, codecs, tmp_path):
    path, image = layered
    base = Wanted(quality=3 / 7)  # four bits, in a codec without a table
    compress_file(codec, tmp_path / "in.tiff", tmp_path / "base.mmc", base)
    assert error(path, codecs, image) < 0.5 * error(tmp_path / "base.mmc", codecs, image)


def test_many_settings_at_once_write_what_each_alone_writes(codec, tmp_path):
    write(tmp_path / "in.png", Image(photograph(64, 48)))
    work = Compressing(codec, tmp_path / "in.png")
    for setting in (Setting(6), Setting(4, 30), Setting(4, 40), Setting(6), Setting(4, 30)):
        facts = work.write(tmp_path / "many.mmc", setting)
        alone = compress_file(codec, tmp_path / "in.png", tmp_path / "one.mmc", setting)
        assert (tmp_path / "many.mmc").read_bytes() == (tmp_path / "one.mmc").read_bytes()
        assert facts.keys() == alone.keys()
        assert facts["seconds"] > 0


def test_a_setting_written_again_tells_the_seconds_that_it_takes_alone(
    codec, tmp_path, monkeypatch
):
    def slowly(rows, qp, coded=residual.encode_rows):
        time.sleep(0.2)
        return coded(rows, qp)

    monkeypatch.setattr(residual, "encode_rows", slowly)
    write(tmp_path / "in.png", Image(photograph(64, 48)))
    work = Compressing(codec, tmp_path / "in.png")
    for _ in range(2):
        assert work.write(tmp_path / "out.mmc", Setting(4, 30))["seconds"] >= 0.2


def test_a_residual_that_was_cut_off_is_left_out_with_a_line(layered, codecs, notices):
    path, image = layered
    whole = error(path, codecs, image)
    path.write_bytes(path.read_bytes()[:-20])
    assert error(path, codecs, image) > whole
    assert "truncated within its residual layer; it is read without" in notices[0]


def test_a_residual_whose_pictures_are_damaged_is_refused(layered, codecs):
    opened = open_mmc(layered[0], 2**30, codecs)
    broken = opened.enhancement[:8] + bytes(len(opened.enhancement) - 8)
    with pytest.raises(ImageError, match="its residual layer is damaged"):
        list(replace(opened, enhancement=broken).strips(64))
