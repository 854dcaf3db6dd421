import numpy as np
import pytest
from click.testing import CliRunner
from graphs import nearest, write_upscaler

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, read, write


@pytest.fixture
def smooth(tmp_path):
    """A bundle of a nearest neighbour alone, which invents no colour."""
    graphs = {"dear.onnx": nearest(), "cheap.onnx": nearest()}
    return write_upscaler(tmp_path / "smooth", graphs).directory


def upscaled_by(model, source, target):
    args = ["upscale", source, "-o", target, "--model", model, "--device", "cpu"]
    result = CliRunner().invoke(main, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0
    return read(target)


def test_alpha_is_kept(smooth, tmp_path):
    alpha = np.zeros((20, 30), np.float32)
    alpha[:10] = 1
    write(tmp_path / "cut.png", Image(np.full((20, 30, 3), 0.4, np.float32), alpha))
    large = upscaled_by(smooth, tmp_path / "cut.png", tmp_path / "large.png")
    assert large.alpha.shape == (40, 60)
    assert (large.alpha[:16] == 1).all()
    assert (large.alpha[24:] == 0).all()


def test_sixteen_bits_are_kept(smooth, tmp_path):
    rgb = np.full((20, 30, 3), 12345 / 65535, np.float32)
    write(tmp_path / "deep.png", Image(rgb, bits=16))
    large = upscaled_by(smooth, tmp_path / "deep.png", tmp_path / "large.png")
    assert large.bits == 16
    np.testing.assert_allclose(large.rgb, 12345 / 65535, atol=1e-6)


def test_grey_stays_grey(smooth, tmp_path):
    write(tmp_path / "grey.png", Image(np.full((20, 30, 3), 0.4, np.float32), grey=True))
    assert upscaled_by(smooth, tmp_path / "grey.png", tmp_path / "large.png").grey
