"""`mmsr upscale` within a budget of memory."""

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, write


@pytest.fixture
def photos(tmp_path):
    """A folder of a photograph."""
    rgb = np.random.default_rng(0).random((200, 300, 3), np.float32)
    write(tmp_path / "photos" / "00.png", Image(rgb))
    return tmp_path / "photos"


@pytest.fixture
def upscale(upscaler):
    """upscale(*args): `mmsr upscale --model … --device cpu`, in this process."""

    def run(*args):
        options = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        return CliRunner().invoke(main, options, prog_name="mmsr", catch_exceptions=False)

    return run


@pytest.mark.parametrize("size", ["1G", "900M", "1.5GiB", "800000k", "2000000000"])
def test_memory_is_given_as_people_write_it(upscale, photos, tmp_path, size):
    result = upscale(photos / "00.png", "-o", tmp_path / "a.png", "--memory", size)
    assert result.exit_code == 0


@pytest.mark.parametrize("size", ["much", "-1G", "1T", ""])
def test_what_is_no_size_is_a_usage_error(upscale, photos, tmp_path, size):
    result = upscale(photos / "00.png", "-o", tmp_path / "a.png", "--memory", size)
    assert result.exit_code == 2
    assert f'"{size}" is not a size; write it as 800M or 2G' in result.stderr


def test_too_little_memory_for_an_image_is_refused_with_what_is_needed(upscale, photos, tmp_path):
    result = upscale(photos / "00.png", "-o", tmp_path / "a.png", "--memory", "246785K")
    assert result.exit_code == 1
    assert "00.png: needs about" in result.stderr
    assert "raise --memory" in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_less_memory_than_mmsr_itself_takes_is_refused(upscale, photos, tmp_path):
    result = upscale(photos / "00.png", "-o", tmp_path / "a.png", "--memory", "100M")
    assert result.exit_code == 1
    assert "--memory 100M: mmsr itself takes 224 MiB; raise --memory above that" in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_memory_changes_no_file_where_it_suffices(upscale, photos, tmp_path):
    for name, size in (("a", "4G"), ("b", "16G")):
        upscale(photos / "00.png", "-o", tmp_path / f"{name}.png", "--memory", size)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
