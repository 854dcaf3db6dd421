import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, read, write

ROOT = Path(__file__).parents[2]


def noise(height=20, width=30, seed=0):
    rgb = np.random.default_rng(seed).random((height, width, 3), np.float32)
    rgb[:, : width // 2] = 0
    return rgb


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    write(path, Image(noise()))
    return path


@pytest.fixture
def photos(tmp_path):
    """A folder with images at two levels and a file that is none."""
    folder = tmp_path / "photos"
    for name in ("a.png", "b.jpg", "deep/er/c.webp"):
        write(folder / name, Image(noise()))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def upscale(upscaler):
    """upscale(*args): `mmsr upscale --model … --device cpu`, in this process."""

    def run(*args):
        options = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        return CliRunner().invoke(main, options, prog_name="mmsr", catch_exceptions=False)

    return run


def process(*args):
    """`mmsr upscale` in its own process, as a user runs it."""
    shelves = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from mmsr_core.cli import main; main()",
            "upscale",
            *map(str, args),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(shelves)},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(result, message, code=1):
    """The exit code, and one last line that says why, without a traceback."""
    line = result.stderr.splitlines()[-1]
    return (
        (result.returncode if hasattr(result, "returncode") else result.exit_code) == code
        and line.startswith("mmsr: error: ")
        and message in line
        and "Traceback" not in result.stderr
    )


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_photograph_becomes_twice_as_large_in_its_own_process(photo, upscaler, tmp_path):
    result = process(photo, "-o", tmp_path / "large.png", "--model", upscaler)
    assert (result.returncode, result.stderr.count("Traceback")) == (0, 0)
    assert read(tmp_path / "large.png").rgb.shape == (40, 60, 3)


def test_auto_says_which_device_it_took(photo, upscaler, tmp_path):
    result = process(photo, "-o", tmp_path / "large.png", "--model", upscaler)
    assert result.stderr.startswith("on c")


def test_a_truncated_file_fails_with_one_line_in_its_own_process(photo, upscaler, tmp_path):
    photo.write_bytes(photo.read_bytes()[:-200])
    result = process(photo, "-o", tmp_path / "large.png", "--model", upscaler)
    assert refused(result, "photo.png")
    assert not (tmp_path / "large.png").exists()


def test_an_unknown_model_is_refused_in_its_own_process(photo, upscaler, tmp_path, monkeypatch):
    home = tmp_path / "home" / "tiny-x2" / "1.0.0"
    home.parent.mkdir(parents=True)
    home.symlink_to(upscaler)
    monkeypatch.setenv("MMSR_HOME", str(tmp_path / "home"))
    result = process(photo, "-o", tmp_path / "large.png", "--model", "tiny-x3")
    assert refused(result, 'did you mean "tiny-x2"?')


def test_a_folder_is_mirrored(upscale, photos, tmp_path):
    out = tmp_path / "large"
    assert upscale(photos, "-o", out).exit_code == 0
    assert files(out) == ["a.png", "b.jpg", "deep/er/c.webp"]
    assert all(read(out / name).rgb.shape == (40, 60, 3) for name in files(out))


def test_several_files_go_into_a_folder(upscale, photos, tmp_path):
    out = tmp_path / "large"
    assert upscale(photos / "a.png", photos / "b.jpg", "-o", out).exit_code == 0
    assert files(out) == ["a.png", "b.jpg"]


def test_one_file_goes_into_a_folder_that_is_there(upscale, photo, tmp_path):
    (tmp_path / "large").mkdir()
    assert upscale(photo, "-o", tmp_path / "large").exit_code == 0
    assert files(tmp_path / "large") == ["photo.png"]


def test_one_pixel_is_upscaled(upscale, tmp_path):
    write(tmp_path / "dot.png", Image(np.full((1, 1, 3), 0.5, np.float32)))
    assert upscale(tmp_path / "dot.png", "-o", tmp_path / "large.png").exit_code == 0
    assert read(tmp_path / "large.png").rgb.shape == (2, 2, 3)


def test_a_missing_file_is_refused(upscale, tmp_path):
    result = upscale(tmp_path / "gone.png", "-o", tmp_path / "large.png")
    assert refused(result, f"{tmp_path / 'gone.png'}: no such file")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused_and_leaves_nothing(upscale, tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    assert refused(upscale(tmp_path / "bad.png", "-o", tmp_path / "large.png"), "bad.png: ")
    assert files(tmp_path) == ["bad.png"]


def test_a_bad_file_does_not_stop_the_others(upscale, photos, tmp_path):
    (photos / "aa.png").write_bytes(b"hello")
    out = tmp_path / "large"
    result = upscale(photos, "-o", out)
    assert refused(result, "1 of 4 images failed (3 done)", code=3)
    assert f"failed: {photos / 'aa.png'}: not an image in a known format\n" in result.stderr
    assert files(out) == ["a.png", "b.jpg", "deep/er/c.webp"]


def test_a_folder_without_images_is_refused(upscale, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(upscale(tmp_path / "empty", "-o", tmp_path / "large"), "no image in this folder")


def test_a_file_where_the_folder_should_be_is_refused(upscale, photos, tmp_path):
    (tmp_path / "large").write_text("in the way")
    assert refused(upscale(photos, "-o", tmp_path / "large"), "is not a folder")


def test_an_unknown_format_is_refused_before_any_work(upscale, photo, tmp_path):
    assert refused(upscale(photo, "-o", tmp_path / "large.xyz"), 'cannot write ".xyz" files')


def test_the_input_is_never_overwritten(upscale, photo):
    before = photo.read_bytes()
    assert refused(upscale(photo, "-o", photo), "is the input itself")
    assert photo.read_bytes() == before


def test_the_map_never_overwrites_the_input(upscale, photo, tmp_path):
    result = upscale(photo, "-o", tmp_path / "large.png", "--map", photo)
    assert refused(result, "is the input itself")


def test_picture_and_map_need_two_places(upscale, photo, tmp_path):
    large = tmp_path / "large.png"
    assert refused(upscale(photo, "-o", large, "--map", large), "choose another for --map")


def test_two_inputs_for_one_output_are_refused(upscale, photos, photo, tmp_path):
    write(tmp_path / "a.png", Image(noise()))
    result = upscale(photos / "a.png", tmp_path / "a.png", "-o", tmp_path / "large")
    assert refused(result, "would both be written to")


def test_two_maps_of_one_name_are_refused(upscale, photos, tmp_path):
    write(photos / "a.jpg", Image(noise()))
    result = upscale(photos, "-o", tmp_path / "large", "--map", tmp_path / "maps")
    assert refused(result, "would both be written to")


def test_a_map_is_painted_under_the_picture_with_a_legend(upscale, photo, tmp_path):
    routes = tmp_path / "routes.png"
    assert upscale(photo, "-o", tmp_path / "large.png", "--map", routes).exit_code == 0
    height, width, _ = read(routes).rgb.shape
    assert width == 60
    assert height > 40


def test_maps_of_a_folder_mirror_it(upscale, photos, tmp_path):
    upscale(photos, "-o", tmp_path / "large", "--map", tmp_path / "maps")
    assert files(tmp_path / "maps") == ["a.png", "b.png", "deep/er/c.png"]


def test_the_statistics_say_what_happened(upscale, photo, upscaler, tmp_path):
    upscale(photo, "-o", tmp_path / "large.png", "--json", tmp_path / "stats.json")
    found = json.loads((tmp_path / "stats.json").read_text())
    assert (found["model"], found["device"]) == (str(upscaler), "cpu")
    (row,) = found["images"]
    assert row["input"] == str(photo)
    assert row["output"] == str(tmp_path / "large.png")
    assert (row["size"], row["upscaled"]) == ([30, 20], [60, 40])
    assert row["classes"].keys() == {"SIMPLE", "COMPLEX"}
    assert sum(row["classes"].values()) == pytest.approx(1)
    assert row["seconds"] > 0 < row["macs"]
    assert row["regions"] >= 1
    assert 0 < row["cost"] < 2


def test_the_statistics_name_what_failed(upscale, photos, tmp_path):
    (photos / "aa.png").write_bytes(b"")
    upscale(photos, "-o", tmp_path / "large", "--json", tmp_path / "stats.json")
    rows = json.loads((tmp_path / "stats.json").read_text())["images"]
    failed = [row for row in rows if "error" in row]
    assert len(rows) == 4
    assert [row["input"] for row in failed] == [str(photos / "aa.png")]


def test_statistics_without_a_place_are_refused_before_any_work(upscale, photo, tmp_path):
    result = upscale(photo, "-o", tmp_path / "large.png", "--json", tmp_path / "no" / "stats.json")
    assert refused(result, "is not a folder; make it first")
    assert not (tmp_path / "large.png").exists()


def test_effort_one_runs_the_deepest_expert_everywhere(upscale, photo, tmp_path):
    stats = tmp_path / "stats.json"
    upscale(photo, "-o", tmp_path / "large.png", "--effort", 1, "--json", stats)
    (row,) = json.loads(stats.read_text())["images"]
    assert row["classes"] == {"SIMPLE": 0.0, "COMPLEX": 1.0}
    assert row["cost"] == 1.0


def test_an_effort_outside_its_range_is_a_usage_error(upscale, photo, tmp_path):
    assert upscale(photo, "-o", tmp_path / "large.png", "--effort", 2).exit_code == 2


def test_an_overlap_is_averaged(upscale, photo, tmp_path):
    assert upscale(photo, "-o", tmp_path / "large.png", "--overlap", 8).exit_code == 0


def test_an_overlap_wider_than_a_tile_is_refused(upscale, photo, tmp_path):
    result = upscale(photo, "-o", tmp_path / "large.png", "--overlap", 9)
    assert refused(result, "--overlap 9 is wider than a tile")


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", 'no device "tpu"'), ("cuda", "use --device cpu")]
)
def test_a_device_that_is_not_there_is_refused(
    photo, upscaler, tmp_path, monkeypatch, device, message
):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    args = ["upscale", photo, "-o", tmp_path / "large.png", "--model", upscaler, "--device", device]
    assert refused(CliRunner().invoke(main, list(map(str, args))), message)
