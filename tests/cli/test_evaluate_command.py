import json

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.cli.evaluate import _verdict
from mmsr_core.measure.oracle import Oracle, Point
from mmsr_core.runtime.image import Image, write


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    coarse = np.random.default_rng(0).random((16, 12, 3), np.float32)
    write(folder / "photo.png", Image(coarse.repeat(4, 0).repeat(4, 1)))
    return folder


@pytest.fixture
def evaluate(upscaler, photos):
    """evaluate(*args): `mmsr evaluate` on one photograph, in this process."""

    def run(*args):
        options = ["--model", upscaler, "--images", photos, "--device", "cpu", "--repeats", 1]
        arguments = ["evaluate", *map(str, [*options, *args])]
        return CliRunner().invoke(main, arguments, prog_name="mmsr", catch_exceptions=False)

    return run


def refused(result, message):
    lines = result.stderr.splitlines()
    return result.exit_code == 1 and lines[-1].startswith("mmsr: error: ") and message in lines[-1]


def test_the_json_has_the_promised_keys(evaluate, tmp_path):
    assert evaluate("--json", tmp_path / "scores.json").exit_code == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found.keys() >= {"model", "device", "images", "rows", "classes"}
    assert (found["model"], found["device"], found["images"]) == ("tiny-x2@1.0.0", "cpu", 1)
    assert [row["name"] for row in found["rows"]] == [
        "bicubic",
        "cheap",
        "dear",
        "routed",
        "oracle",
    ]
    assert found["oracle"].keys() >= {"kept", "cost", "lost"}
    for row in found["rows"]:
        assert row.keys() == {"name", "psnr_y", "ssim_y", "seconds", "macs"}
    assert sum(found["classes"].values()) == pytest.approx(1)


def test_the_table_has_a_line_for_every_row(evaluate):
    lines = evaluate("--effort", "0.5").stdout.splitlines()
    names = [line.split()[0] for line in lines[2:-2]]
    assert lines[0] == "tiny-x2@1.0.0 on cpu, 1 images"
    assert names == ["bicubic", "cheap", "dear", "routed", "routed@0.5", "oracle"]
    assert lines[-2].startswith("tiles: SIMPLE ")


def test_the_last_line_says_how_the_router_compares_with_the_oracle(evaluate, tmp_path):
    line = evaluate("--json", tmp_path / "scores.json").stdout.splitlines()[-1]
    kept = json.loads((tmp_path / "scores.json").read_text())["oracle"]["kept"]
    assert line.startswith(f"the router keeps {kept:.0%} of the oracle's saving: it costs ")
    assert line.endswith("(computed, not run)")


def test_a_router_dearer_than_a_plain_run_is_said_to_save_nothing():
    oracle = Oracle(routed=Point(0.0, 1.45), at_cost=Point(0.0, 1.0), at_quality=Point(0.0, 0.94))
    assert _verdict(oracle).startswith(
        "the router saves nothing: its plans cost 1.45 of the deepest"
    )


def test_times_are_shares_of_the_deepest_expert(evaluate):
    line = next(line for line in evaluate().stdout.splitlines() if line.startswith("dear"))
    assert "100%" in line


def test_another_scale_is_refused(evaluate):
    assert refused(evaluate("--scale", 4), "upscales by 2, not by 4")


def test_its_own_scale_is_fine(evaluate):
    assert evaluate("--scale", 2).exit_code == 0


def test_a_missing_folder_is_refused(evaluate, tmp_path):
    assert refused(evaluate("--images", tmp_path / "gone"), "no such file or folder")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_file_without_a_folder_is_refused_before_any_work(evaluate, tmp_path, option):
    result = evaluate(option, tmp_path / "gone" / "file")
    assert refused(result, "is not a folder; make it first")
    assert result.stdout == ""


def test_a_folder_in_a_files_place_is_refused(evaluate, tmp_path):
    assert refused(evaluate("--json", tmp_path), "is a folder; name a file in it")


def test_no_photographs_are_a_usage_error(upscaler):
    assert CliRunner().invoke(main, ["evaluate", "--model", str(upscaler)]).exit_code == 2
