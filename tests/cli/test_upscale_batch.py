"""`mmsr upscale` of many files: what goes in, what comes out, and what is left to do."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, read, write


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


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def rows(text):
    return {Path(row["input"]).name: row for row in json.loads(text)["images"]}


def test_what_exists_is_not_overwritten_unasked(upscale, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("dear to me")
    result = upscale(photos, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "a.png exists already; --overwrite replaces what exists" in result.stderr
    assert files(tmp_path / "out") == ["a.png"]
    assert (tmp_path / "out" / "a.png").read_text() == "dear to me"


def test_overwrite_overwrites(upscale, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("not dear to me")
    assert upscale(photos, "-o", tmp_path / "out", "--overwrite").exit_code == 0
    assert read(tmp_path / "out" / "a.png").rgb.shape == (40, 60, 3)


def test_resume_does_what_is_left_and_says_how_much_that_is(upscale, photos, tmp_path):
    out, stats = tmp_path / "out", tmp_path / "stats.json"
    upscale(photos, "-o", out)
    before = (out / "a.png").stat().st_mtime_ns
    (out / "b.jpg").unlink()
    result = upscale(photos, "-o", out, "--resume", "--json", stats)
    assert result.exit_code == 0
    assert "2 of 3 images are finished already" in result.stderr
    assert (out / "a.png").stat().st_mtime_ns == before
    assert {name: row["status"] for name, row in rows(stats.read_text()).items()} == {
        **{"a.png": "skipped", "b.jpg": "done", "c.webp": "skipped"}
    }


def test_resume_of_a_batch_that_is_through_opens_no_model(upscale, photos, tmp_path):
    upscale(photos, "-o", tmp_path / "out")
    words = ["upscale", photos, "-o", tmp_path / "out", "--resume", "--model", "no-such-model"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0


def test_resume_and_overwrite_are_a_usage_error(upscale, photos, tmp_path):
    result = upscale(photos, "-o", tmp_path / "out", "--resume", "--overwrite")
    assert result.exit_code == 2


def test_what_a_killed_run_left_is_removed_by_the_next(upscale, photos, tmp_path):
    (tmp_path / "out" / "deep" / "er").mkdir(parents=True)
    left = ".mmsr-0123456789abcdef-1.00000000-00000000.part"
    for folder in ("", "deep/er"):
        (tmp_path / "out" / folder / left).write_text("half")
    upscale(photos, "-o", tmp_path / "out", "--resume")
    assert files(tmp_path / "out") == ["a.png", "b.jpg", "deep/er/c.webp"]


def test_a_format_is_given_to_every_image(upscale, photos, tmp_path):
    assert upscale(photos, "-o", tmp_path / "out", "--format", "webp").exit_code == 0
    assert files(tmp_path / "out") == ["a.webp", "b.webp", "deep/er/c.webp"]


def test_a_format_that_is_not_the_outputs_is_refused(upscale, photos, tmp_path):
    result = upscale(photos / "a.png", "-o", tmp_path / "a.png", "--format", "jpg")
    assert result.exit_code == 1
    assert "--format jpg makes .jpg files; name it so" in result.stderr


@pytest.mark.parametrize("name", ["large.jpeg", "large.JPG"])
def test_a_format_has_more_than_one_suffix(upscale, photos, tmp_path, name):
    result = upscale(photos / "a.png", "-o", tmp_path / name, "--format", "jpg")
    assert result.exit_code == 0


def test_quality_makes_files_smaller(upscale, photos, tmp_path):
    for quality in (30, 95):
        upscale(photos / "b.jpg", "-o", tmp_path / f"{quality}.jpg", "--quality", quality)
    assert (tmp_path / "30.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size / 2


def test_a_name_pattern_names_every_file(upscale, photos, tmp_path):
    assert upscale(photos, "-o", tmp_path / "out", "--name", "{stem}-large").exit_code == 0
    assert files(tmp_path / "out") == ["a-large.png", "b-large.jpg", "deep/er/c-large.webp"]


def test_a_quoted_pattern_is_expanded(upscale, photos, tmp_path):
    assert upscale(photos / "**" / "*.[jw]*", "-o", tmp_path / "out").exit_code == 0
    assert files(tmp_path / "out") == ["b.jpg", "deep/er/c.webp"]


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_a_list_is_read_from_standard_input(upscale, photos, tmp_path, end):
    given = f"{photos / 'a.png'}{end}{photos / 'deep' / 'er' / 'c.webp'}{end}"
    null = ["-0"] if end == "\0" else []
    result = upscale("-", *null, "-o", tmp_path / "out", input=given)
    assert result.exit_code == 0
    assert files(tmp_path / "out") == ["a.png", "c.webp"]


def test_a_path_of_a_list_that_is_gone_stops_no_other(upscale, photos, tmp_path):
    given = f"{photos / 'gone.png'}\n{photos / 'a.png'}\n"
    result = upscale("-", "-o", tmp_path / "out", input=given)
    assert result.exit_code == 3
    assert f"failed: {photos / 'gone.png'}: no such file or folder\n" in result.stderr
    assert files(tmp_path / "out") == ["a.png"]


def test_a_video_is_upscaled_by_its_name(upscale, photos, monkeypatch, tmp_path):
    asked = []

    def upscale_video(upscaler, source, target, *others):
        asked.append((source.name, target.name))
        return {}

    monkeypatch.setattr("mmsr_core.cli.opening.upscale_video", upscale_video)
    monkeypatch.setattr("mmsr_core.cli.inputs.check_video", lambda target: None)
    for name in ("a.mp4", "b.avi"):
        (photos / name).touch()
    assert upscale(photos / "*", "-o", tmp_path / "out", "--format", "webp").exit_code == 0
    assert sorted(asked) == [("a.mp4", "a.mp4"), ("b.avi", "b.mp4")]
    assert files(tmp_path / "out") == ["a.webp", "b.webp"]


def test_videos_in_a_folder_are_left_alone(upscale, photos, tmp_path):
    (photos / "a.mp4").touch()
    assert upscale(photos, "-o", tmp_path / "out").exit_code == 0
    assert len(files(tmp_path / "out")) == 3


def test_a_video_without_its_extra_is_one_line_before_any_work(upscale, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (photos / "a.mp4").touch()
    result = upscale(photos / "a.mp4", "-o", photos / "large.mp4")
    assert result.exit_code == 1
    assert "pip install 'mmsr[video]'" in result.stderr


def test_a_video_has_no_map(upscale, photos, tmp_path):
    (photos / "a.mp4").touch()
    words = photos / "a.mp4", "-o", tmp_path / "a.mp4", "--map", tmp_path / "map.png"
    assert "is a video, which has no --map" in upscale(*words).stderr


def test_an_animation_says_that_its_first_frame_is_taken(upscale, tmp_path):
    pages = [Picture.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    result = upscale(tmp_path / "a.gif", "-o", tmp_path / "out.png")
    assert result.exit_code == 0
    assert f"{tmp_path / 'a.gif'}: the first of its 3 frames is taken\n" in result.stderr
