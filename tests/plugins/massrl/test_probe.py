import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Catalog
from mmsr_massrl.encoder import Config, Encoder, save_encoder

POINTS = [EntryPoint("massrl", "mmsr_massrl", "mmsr")]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """An encoder, and a data set of two classes."""
    folder = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    save_encoder(folder / "tile.safetensors", Encoder(Config()), "noise")
    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for label, level in (("dark", 60), ("bright", 180)):
            (folder / "data" / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(level - 40, level + 40, (16, 20, 3)).astype(np.uint8)
                cv2.imwrite(str(folder / "data" / split / label / f"{index}.png"), pixels)
    return folder


@pytest.fixture
def probe(monkeypatch, places):
    """probe(*args): `mmsr probe ENCODER --data DATA` in this process, with the plugin."""
    monkeypatch.setattr(Catalog, "load", classmethod(lambda cls, load=Catalog.load: load(POINTS)))
    asked = ["probe", str(places / "tile.safetensors"), "--data", str(places / "data")]
    return lambda *args: CliRunner().invoke(main, [*asked, *map(str, args)], prog_name="mmsr")


def test_a_table_has_a_line_for_every_protocol_and_share(probe):
    result = probe("--protocol", "linear", "--protocol", "knn", "--labels", "50%", "--seeds", 2)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "PROTOCOL",
        "LABELS",
        "SEEDS",
        "TOP-1",
        "±",
        "TOP-5",
        "TRAIN",
        "TEST",
    ]
    assert lines[1].split() == ["linear", "50%", "2", "100.00%", "0.00%", "–", "10", "8"]
    assert lines[2].split()[:4] == ["knn", "50%", "2", "100.00%"]
    assert lines[3].endswith("2 classes, side 16")


def test_json_holds_facts_summary_and_every_score(probe):
    result = probe("--json", "--seeds", 2, "--side", 12)
    found = json.loads(result.stdout)
    assert found["facts"]["side"] == 12
    assert len(found["facts"]["sha256"]) == 64
    assert [score["seed"] for score in found["scores"]] == [0, 1]
    assert found["summary"][0]["top1"] == 1.0
    assert found["scores"][0]["settings"]["rate"] > 0


def test_transfer_is_linear_and_fine_tuned(probe):
    result = probe("--protocol", "transfer", "--json", "--epochs", 1, "--rate", 0.1, "--batch", 8)
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)["scores"]
    assert [score["protocol"] for score in scores] == ["linear", "finetune"]
    assert scores[1]["settings"] == {"rate": 0.1, "epochs": 1, "batch": 8}


def test_a_resumed_probe_measures_only_what_is_missing(probe, tmp_path):
    out = tmp_path / "figures.json"
    assert probe("--protocol", "knn", "--out", out).exit_code == 0
    before = json.loads(out.read_text())["scores"]
    result = probe("--protocol", "knn", "--protocol", "linear", "--out", out, "--resume")
    assert result.exit_code == 0, result.stderr
    after = json.loads(out.read_text())["scores"]
    assert after[:1] == before
    assert [score["protocol"] for score in after] == ["knn", "linear"]
    assert "knn" not in result.stderr


def test_figures_that_are_there_are_not_overwritten(probe, tmp_path):
    out = tmp_path / "figures.json"
    assert probe("--out", out).exit_code == 0
    result = probe("--out", out)
    assert result.exit_code == 1
    assert "add --resume" in result.stderr


def test_figures_of_something_else_are_not_continued(probe, tmp_path):
    out = tmp_path / "figures.json"
    assert probe("--out", out).exit_code == 0
    result = probe("--out", out, "--resume", "--side", 12)
    assert result.exit_code == 1
    assert "for another side, 16 and not 12" in result.stderr


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_file_that_holds_no_figures_is_refused(probe, tmp_path, text):
    out = tmp_path / "figures.json"
    out.write_text(text)
    result = probe("--out", out, "--resume")
    assert result.exit_code == 1
    assert "no figures of a probe" in result.stderr


@pytest.mark.parametrize("labels", ["1", "0%", "101%", "x%", "nan%"])
def test_a_share_is_a_percentage(probe, labels):
    result = probe("--labels", labels)
    assert result.exit_code == 2
    assert "is no percentage" in result.stderr


def test_too_few_labels_are_said_in_one_line_and_leave_nothing(probe, tmp_path):
    result = probe("--labels", "1%", "--out", tmp_path / "figures.json")
    assert result.exit_code == 1
    assert "leave the class" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere.safetensors", "data"])
def test_what_is_no_encoder_is_said_in_one_line(probe, places, name):
    arguments = ["probe", str(places / name), "--data", str(places / "data")]
    result = CliRunner().invoke(main, arguments, prog_name="mmsr")
    assert result.exit_code == 1
    assert name in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_help_of_the_command_imports_no_torch():
    root = Path(__file__).parents[3]
    blocked = "import sys; sys.modules['torch'] = None; from mmsr_core.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", blocked, "probe", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "--protocol" in result.stdout
