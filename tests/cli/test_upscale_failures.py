"""`mmsr upscale` where something goes wrong: what is said, and what is left."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, write

ROOT = Path(__file__).parents[2]
SHELVES = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(SHELVES)}
RUN = "from mmsr_core.cli import main; main()"


@pytest.fixture
def photos(tmp_path):
    """A folder with images at two levels."""
    for seed, name in enumerate(("a.png", "b.jpg", "deep/er/c.webp")):
        rgb = np.random.default_rng(seed).random((20, 30, 3), np.float32)
        write(tmp_path / "photos" / name, Image(rgb))
    return tmp_path / "photos"


@pytest.fixture
def upscale(upscaler):
    """upscale(*args, input=…): `mmsr upscale --model … --device cpu`, in this process."""

    def run(*args, **others):
        options = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        runner = CliRunner()
        return runner.invoke(main, options, prog_name="mmsr", catch_exceptions=False, **others)

    return run


@pytest.fixture
def process(upscaler):
    """process(*args, code=…): the same in its own process, as a user runs it."""

    def run(*args, code=RUN, **others):
        options = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        words = [sys.executable, "-c", code, *options]
        return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, **others)

    return run


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def rows(text):
    return {Path(row["input"]).name: row for row in json.loads(text)["images"]}


def test_json_on_standard_output_is_all_that_is_there(process, photos, tmp_path):
    (photos / "bad.png").write_text("no image")
    result = process(photos, "-o", tmp_path / "out", "--json", "-")
    found = rows(result.stdout)
    assert result.returncode == 3
    assert found["bad.png"]["status"] == "failed"
    assert found["bad.png"]["error"] == "not an image in a known format"
    assert found["a.png"]["status"] == "done"
    assert found["a.png"]["output"] == str(tmp_path / "out" / "a.png")


def test_a_reader_of_standard_output_may_go_away(upscaler, photos, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    words = ["upscale", photos, "-o", tmp_path / "out", "--json", "-", "--model", upscaler]
    result = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words)],
        env=ENVIRONMENT,
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (result.returncode, result.stderr.count("rror")) == (0, 0)
    assert len(files(tmp_path / "out")) == 3


def test_an_image_with_too_many_pixels_is_refused(upscale, photos, tmp_path):
    result = upscale(photos / "a.png", "-o", tmp_path / "a.png", "--max-megapixels", 0.0005)
    assert result.exit_code == 1
    assert "a.png: " in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_an_error_that_nobody_foresaw_asks_for_a_report(upscale, photos, tmp_path, monkeypatch):
    def fail(path, *others):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("mmsr_core.runtime.files.one.open_image", fail)
    result = upscale(photos, "-o", tmp_path / "out", "--json", tmp_path / "stats.json")
    assert result.exit_code == 3
    assert "a.png: internal error, please report it: ZeroDivisionError: by zero" in result.stderr
    assert "Traceback" not in result.stderr
    assert "in fail" in rows((tmp_path / "stats.json").read_text())["a.png"]["trace"]


def test_many_failures_are_counted_and_not_all_named(upscale, tmp_path):
    (tmp_path / "bad").mkdir()
    for number in range(30):
        (tmp_path / "bad" / f"{number}.png").write_text("no image")
    result = upscale(tmp_path / "bad", "-o", tmp_path / "out")
    assert result.stderr.count("failed: ") == 20
    assert "and 10 more; --json FILE names them all" in result.stderr
    assert result.stderr.endswith("mmsr: error: 30 of 30 images failed (0 done)\n")


def test_a_disc_that_is_full_is_one_line_and_leaves_nothing(upscale, photos, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = upscale(photos / "a.png", "-o", tmp_path / "large.png")
    line = f"{tmp_path / 'large.png'}: cannot write it (No space left on device)\n"
    assert result.exit_code == 1
    assert result.stderr.endswith(f"mmsr: error: {photos / 'a.png'}: {line}")
    assert files(tmp_path) == ["photos/a.png", "photos/b.jpg", "photos/deep/er/c.webp"]


def test_on_a_full_disc_nothing_is_begun(upscale, photos, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    result = upscale(photos / "a.png", "-o", tmp_path / "large.png")
    assert f"the disc of {tmp_path} is full; make room, then use --resume" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on what a process may write")
def test_a_write_that_is_cut_short_is_one_line_and_leaves_nothing(process, photos, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
    out = tmp_path / "out"
    result = process(photos, "-o", out, "--format", "tiff", code=limit + RUN)
    assert result.returncode == 3
    assert result.stderr.count("cannot write it (File too large)") == 3
    assert files(out) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_before_any_work(upscale, photos, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    result = upscale(photos, "-o", tmp_path / "out")
    assert "is not writable" in result.stderr


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_stops_no_other(upscale, photos, tmp_path):
    (photos / "a.png").chmod(0)
    result = upscale(photos, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "a.png: cannot read it (Permission denied)" in result.stderr


def test_two_runs_on_one_folder_both_end_well_and_share_the_work(upscaler, tmp_path):
    rgb = np.random.default_rng(0).random((60, 80, 3), np.float32)
    for number in range(40):
        write(tmp_path / "in" / f"{number:02d}.png", Image(rgb))
    words = ["upscale", tmp_path / "in", "-o", tmp_path / "out", "--resume", "--model", upscaler]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, words), "--device", "cpu", "--json", "-"],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    said = [rows(process.communicate(timeout=60)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert files(tmp_path / "out") == [f"{number:02d}.png" for number in range(40)]
    done = [sum(row["status"] == "done" for row in found.values()) for found in said]
    assert 40 <= sum(done) <= 50  # two may begin one image within the same millisecond
