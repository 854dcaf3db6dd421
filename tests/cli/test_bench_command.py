import json
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
from mmsr_core.runtime.image import Image, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(2):
        coarse = np.random.default_rng(seed).random((16, 12, 3), np.float32)
        coarse[:6] = 0
        write(folder / f"{seed}.png", Image(coarse.repeat(4, 0).repeat(4, 1)))
    return folder


def start(temporary, *args):
    """`mmsr bench` in its own process, as a user runs it, its temporary files in a folder."""
    shelves = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
    paths = {"PYTHONPATH": os.pathsep.join(shelves), "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from mmsr_core.cli import main; main(prog_name='mmsr')",
            "bench",
            *map(str, args),
        ],
        env=os.environ | paths,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def ran(upscaler, photos, tmp_path_factory):
    """One real run: its folder, where bench.json and bench.png lie, and what it said."""
    folder = tmp_path_factory.mktemp("bench")
    temporary = tmp_path_factory.mktemp("temporary")
    outputs = ["--json", folder / "bench.json", "--plot", folder / "bench.png"]
    rounds = ["--effort", 0.5, "--repeats", 1, "--limit", 1]
    which = ["--model", upscaler, "--images", photos, "--device", "cpu", "--peers"]
    process = start(temporary, *which, *rounds, *outputs)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert list(temporary.glob("mmsr*")) == []
    return folder, out, err


def test_every_contender_has_a_row_in_the_table_and_in_the_json(ran):
    folder, out, _ = ran
    found = json.loads((folder / "bench.json").read_text())
    names = [one["name"] for one in found["contenders"]]
    assert names[:4] == ["cheap", "dear", "routed", "plain onnxruntime"]
    for name in names:
        assert sum(line.startswith(f"{name} ") for line in out.splitlines()) >= 2


def test_the_json_has_the_promised_keys(ran):
    found = json.loads((ran[0] / "bench.json").read_text())
    assert (found["model"], found["device"], found["images"]) == ("tiny-x2@1.0.0", "cpu", 1)
    promised = {"time", "upscaling", "lost", "worst", "peak", "first", "stages", "megapixels_in"}
    assert all(one.keys() >= promised for one in found["contenders"])
    assert found["routings"][0].keys() >= {"classes", "overlap", "cost", "oracle", "kept"}
    assert found["oracle"][0].keys() == {"time", "lost"}


def test_the_stages_of_a_long_run_are_reported(ran):
    stages = [line.partition(":")[0] for line in ran[2].splitlines()]
    assert stages == ["LR files", "memory", "rounds", "oracle"]


def test_the_table_fits_a_hundred_columns(ran):
    assert max(map(len, ran[1].splitlines())) <= 100


def test_the_plot_is_a_png(ran):
    assert (ran[0] / "bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_an_interrupted_run_leaves_nothing_behind(upscaler, photos, tmp_path):
    rounds = ["--repeats", 100000, "--effort", 0.5, "--limit", 1]
    process = start(tmp_path, "--model", upscaler, "--images", photos, "--device", "cpu", *rounds)
    for line in process.stderr:
        if line.startswith("memory"):
            break
    time.sleep(0.3)  # the rounds have begun
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err.splitlines()[-1]) == ("", "mmsr: error: interrupted")
    assert "Traceback" not in err
    assert list(tmp_path.glob("mmsr*")) == []


def refused(message, *args):
    result = CliRunner().invoke(main, ["bench", *map(str, args)], prog_name="mmsr")
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[-1].startswith("mmsr: error: ")
    assert message in lines[-1]


def test_a_checkpoint_without_peers_is_refused(upscaler, photos):
    common = ["--model", upscaler, "--images", photos]
    refused("give --peers as well", *common, "--peer-checkpoint", photos / "0.png")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_file_without_a_folder_is_refused_before_any_work(upscaler, photos, tmp_path, option):
    common = ["--model", upscaler, "--images", photos]
    refused("is not a folder; make it first", *common, option, tmp_path / "gone" / "file")


def test_a_missing_folder_is_refused(upscaler, tmp_path):
    missing = ["--images", tmp_path / "gone", "--device", "cpu"]
    refused("no such file or folder", "--model", upscaler, *missing)
