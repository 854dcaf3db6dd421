"""`mmsr upscale` within a budget of memory, of many images, and interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, read, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path):
    """A folder of forty photographs."""
    rgb = np.random.default_rng(0).random((200, 300, 3), np.float32)
    for number in range(40):
        write(tmp_path / "photos" / f"{number:02d}.png", Image(rgb))
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
    result = upscale(photos / "00.png", "-o", tmp_path / "a.png", "--memory", "229377K")
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to a process")
def test_ctrl_c_stops_a_folder_quickly_and_leaves_whole_files(upscaler, photos, tmp_path):
    out = tmp_path / "out"
    shelves = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
    words = ["upscale", photos, "-o", out, "--model", upscaler, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from mmsr_core.cli import main; main()", *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(shelves)},
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 60
    while not list(out.glob("*.png")) and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - started < 5
    assert said.splitlines()[-1] == "mmsr: error: interrupted"
    written = list(out.iterdir())
    assert 0 < len(written) < 40
    assert {path.suffix for path in written} == {".png"}
    assert all(read(path).rgb.shape == (400, 600, 3) for path in written)
