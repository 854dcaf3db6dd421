import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from codecs_made import open_codec, photograph, write_codec

from mmsr_core.cli import main
from mmsr_core.measure.codecs.contenders import standard_codecs
from mmsr_core.measure.codecs.rates import Rates, Row, measure_rates, settings_of
from mmsr_core.runtime.codec.compress import Setting
from mmsr_core.runtime.codec.manifest import QualityPoint
from mmsr_core.runtime.image import Image, write


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with one photograph."""
    folder = tmp_path_factory.mktemp("images")
    write(folder / "a.png", Image(photograph(180, 200)))
    return folder


@pytest.mark.parametrize("contender", list(standard_codecs()), ids=lambda one: one.name)
def test_a_standard_codec_gets_larger_and_better_along_its_settings(contender):
    image = (photograph(96, 130) * 255).astype(np.uint8)
    sizes, errors = [], []
    for setting in contender.settings[::3]:
        data = contender.encode(image, setting)
        decoded = contender.decode(data)
        assert decoded.shape == image.shape
        sizes.append(len(data))
        errors.append(np.square(decoded.astype(float) - image).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


@pytest.fixture
def few_settings(monkeypatch):
    """Two settings of each standard codec."""
    few = [replace(one, settings=one.settings[2:6:3]) for one in standard_codecs()]
    monkeypatch.setattr("mmsr_core.measure.codecs.rates.standard_codecs", lambda: few)


def test_ours_and_the_standard_codecs_are_measured_on_the_same_images(
    images, few_settings, tmp_path
):
    codec = open_codec(tmp_path / "tiny")
    shares = []
    found = measure_rates(
        codec, images, [Setting(3), Setting(6)], lambda *said: shares.append(said)
    )
    rows = [row for row in found.rows if row.codec == "tiny"]
    assert [row.setting for row in rows] == [Setting(3), Setting(6)]
    assert rows[0].bpp < rows[1].bpp
    assert rows[0].psnr < rows[1].psnr
    assert {"jpeg", "webp", "avif"} <= set(found.bd)
    assert shares[-1] == ("images", 1, 1)


def test_bd_rates_are_of_ours_against_each():
    def rows(name, factor):
        return [Row(name, 0, factor * r, q, s, 0, 0, 0) for r, q, s in POINTS]

    found = Rates("ours", "cpu", 1, (*rows("ours", 0.5), *rows("jpeg", 1.0)))
    assert found.bd["jpeg"] == (pytest.approx(-0.5), pytest.approx(-0.5))


def test_the_base_layer_has_bd_rates_of_its_own():
    base = [Row("ours", Setting(4), bpp / 2, psnr, ssim, 0, 0, 0) for bpp, psnr, ssim in POINTS]
    layered = [Row("ours", Setting(4, 30), bpp, psnr, ssim, 0, 0, 0) for bpp, psnr, ssim in POINTS]
    theirs = [Row("jpeg", 90, bpp, psnr, ssim, 0, 0, 0) for bpp, psnr, ssim in POINTS]
    found = Rates("ours", "cpu", 1, (*base, *layered, *theirs))
    assert found.bd_base["jpeg"] == (pytest.approx(-0.5), pytest.approx(-0.5))
    assert {row["setting"] for row in found.as_json()["rows"]} == {"B=4", "B=4 QP=30", "90"}
    assert found.as_json()["bd_rate_base"]["jpeg"]["psnr"] == pytest.approx(-0.5)
    alone = Rates("ours", "cpu", 1, (*layered, *theirs))
    assert alone.as_json()["bd_rate_base"]["jpeg"] == {"psnr": None, "ms_ssim": None}


POINTS = ((0.1, 25.0, 0.8), (0.5, 30.0, 0.95), (1.0, 35.0, 0.99))


def test_the_settings_are_every_number_of_bits_and_the_papers_five(tmp_path, monkeypatch):
    codec = open_codec(tmp_path / "tiny")
    monkeypatch.setattr("mmsr_core.runtime.codec.residual.can_encode", lambda: True)
    settings = settings_of(codec)
    assert [one.bits for one in settings if one.qp is None] == list(range(2, 9))
    assert [one.qp for one in settings if one.qp is not None] == [50, 40, 35, 30, 25]


def test_a_long_table_of_settings_is_measured_at_eight_that_span_it(tmp_path, monkeypatch):
    monkeypatch.setattr("mmsr_core.runtime.codec.residual.can_encode", lambda: True)
    codec = open_codec(tmp_path / "tiny")
    points = [
        QualityPoint(bits=4, qp=qp, bpp=50 - qp, psnr=30, ms_ssim=0.9) for qp in range(50, 9, -1)
    ]
    manifest = codec.manifest.model_copy(update={"qualities": tuple(points)})
    tabled = replace(codec, bundle=replace(codec.bundle, manifest=manifest))
    layered = [setting.qp for setting in settings_of(tabled) if setting.qp is not None]
    assert len(layered) == 8
    assert (layered[0], layered[-1]) == (50, 10)
    assert np.ptp(np.diff(layered)) <= 1


def test_mmsr_evaluate_measures_a_codec(images, few_settings, tmp_path, monkeypatch):
    write_codec(tmp_path / "tiny")
    monkeypatch.setattr("mmsr_core.measure.codecs.rates.settings_of", lambda codec: [Setting(4)])
    out, drawn = tmp_path / "rates.json", tmp_path / "rates.png"
    arguments = ["evaluate", "--model", tmp_path / "tiny", "--images", images, "--device", "cpu"]
    arguments += ["--json", out, "--plot", drawn]
    result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "BD-rate of tiny" in result.output
    assert json.loads(out.read_text())["rows"][0]["codec"] == "tiny"
    assert drawn.stat().st_size > 10_000


def test_an_option_for_models_that_upscale_is_refused(images, tmp_path):
    write_codec(tmp_path / "tiny")
    arguments = ["evaluate", "--model", tmp_path / "tiny", "--images", images, "--effort", "1"]
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 2
    assert "--effort is for a model that upscales" in result.output
