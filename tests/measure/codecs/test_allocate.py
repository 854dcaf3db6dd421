import pytest
from click.testing import CliRunner
from codecs_made import photograph, write_codec

from mmsr_core.cli import main
from mmsr_core.measure.codecs.allocate import candidates, frontier
from mmsr_core.measure.codecs.rates import Row
from mmsr_core.runtime.bundle import CodecBundle
from mmsr_core.runtime.codec.compress import Setting
from mmsr_core.runtime.image import Image, write


def row(bits, bpp, ms_ssim, psnr=30, qp=None):
    return Row("ours", Setting(bits, qp), bpp, psnr, ms_ssim, 0, 0, 0)


def test_the_table_keeps_what_nothing_beats_fewer_bits_first():
    rows = [row(5, 0.6, 0.98, qp=35), row(3, 0.2, 0.9), row(4, 0.7, 0.97, qp=50)]
    found = frontier(rows)
    assert [(point.bits, point.qp) for point in found] == [(3, None), (5, 35)]
    assert [point.bpp for point in found] == [0.2, 0.6]


def test_of_two_settings_that_cost_nearly_the_same_the_better_stays():
    found = frontier([row(3, 0.2, 0.9), row(4, 0.201, 0.91)])
    assert [point.bits for point in found] == [4]


def test_psnr_alone_makes_no_setting_worth_its_bits():
    found = frontier([row(3, 0.2, 0.98, psnr=25), row(4, 0.3, 0.97, psnr=28)])
    assert [point.bits for point in found] == [3]


def test_settings_too_coarse_to_show_a_picture_are_left_out_unless_there_are_no_others():
    mush, picture = row(1, 0.01, 0.3), row(4, 0.1, 0.9)
    assert [point.bits for point in frontier([mush, picture])] == [4]
    assert [point.bits for point in frontier([mush])] == [1]


def test_mmsr_evaluate_writes_the_codec_with_its_table(tmp_path, monkeypatch):
    codec = write_codec(tmp_path / "tiny")
    write(tmp_path / "images/a.png", Image(photograph(180, 180)))
    few = (Setting(3), Setting(6))
    monkeypatch.setattr("mmsr_core.measure.codecs.allocate.candidates", lambda: few)
    arguments = ["evaluate", "--model", tmp_path / "tiny", "--images", tmp_path / "images"]
    arguments += ["--allocate", tmp_path / "new", "--device", "cpu"]
    result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    made = CodecBundle.open(tmp_path / "new")
    assert [point.bits for point in made.manifest.qualities] == [3, 6]
    assert made.manifest.files == codec.manifest.files


def test_all_bits_are_tried_with_and_without_a_residual():
    pytest.importorskip("pillow_heif")
    found = candidates()
    assert {one.bits for one in found if one.qp is None} == set(range(1, 9))
    assert Setting(4, 35) in found
