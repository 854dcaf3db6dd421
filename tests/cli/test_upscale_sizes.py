"""mmsr upscale to any size."""

import click
import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main, sizes
from mmsr_core.runtime.image import Image, read, write
from mmsr_core.runtime.sizes import Size


@pytest.fixture
def upscale(upscaler, tmp_path):
    """upscale(*options): the exit code, the last line, and what a 30×20 picture became, or None."""
    rgb = np.random.default_rng(0).random((20, 30, 3), np.float32)
    write(tmp_path / "a.png", Image(rgb))

    def run(*options):
        target = tmp_path / "large.png"
        words = ["upscale", str(tmp_path / "a.png"), "-o", str(target), "--device", "cpu"]
        result = CliRunner().invoke(main, [*words, "--model", str(upscaler), *options])
        shape = read(target).rgb.shape[:2] if target.exists() else None
        return result.exit_code, (result.output.splitlines() or [""])[-1], shape

    return run


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (("--scale", "1.5"), (30, 45)),
        (("--scale", "3"), (60, 90)),
        (("--width", "100"), (67, 100)),
        (("--height", "50"), (50, 75)),
        (("--width", "100", "--height", "50"), (50, 75)),
        (("--megapixels", "0.0054"), (60, 90)),
    ],
)
def test_any_size_that_is_asked_for(upscale, options, shape):
    assert upscale(*options)[::2] == (0, shape)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--scale", "0.5"), "scale 0.5 would shrink"),
        (("--scale", "nan"), "factor nan is not a size"),
        (("--scale", "1e9"), "more than 4 passes"),
        (("--width", "20"), "30x20 is larger than the width of 20 asked for"),
        (("--scale", "2", "--width", "90"), "--scale and --width can't hold together"),
        (("--height", "9", "--megapixels", "9"), "--megapixels and --height can't hold"),
    ],
)
def test_a_size_that_cannot_be_is_said_in_one_line(upscale, options, told):
    code, line, shape = upscale(*options)
    assert code != 0
    assert told in line
    assert shape is None


def test_a_command_gets_one_size():
    found = []

    @click.command()
    @sizes.options
    @click.option("--other")
    def command(other, size):
        found.append((other, size))

    for words in ([], ["--scale", "3", "--other", "x"]):
        CliRunner().invoke(command, words, catch_exceptions=False)
    assert found == [(None, Size()), ("x", Size(factor=3))]
