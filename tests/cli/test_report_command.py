import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
for name in ("torch", "sklearn", "onnx", "onnxruntime"):
    sys.modules[name] = None
from mmsr_core.cli import main
main(sys.argv[1:], prog_name="mmsr")
"""
RECORD = {
    "expert": "deep",
    "backbone": "compact",
    "depth": 8,
    "options": {"channels": 64},
    "classes": None,
    "tiles": None,
    "bytes": 1000,
    "steps": 60,
    "batch": 4,
    "parameters": 1234,
    "seconds": 12.0,
    "waited": 3.0,
    "device": "cpu",
}
RECIPE = {
    "name": "tiny-x4",
    "version": "1.0.0",
    "scale": 4,
    "data": [{"folder": "photos"}],
    "experts": [{"name": "deep", "backbone": "compact", "depth": 8}],
    "routes": {"ALL": {"experts": ["deep"]}},
}


@pytest.fixture
def run(tmp_path):
    """A finished run of one expert."""
    directory = tmp_path / "run"
    (directory / "experts/deep").mkdir(parents=True)
    (directory / "experts/deep/training.json").write_text(json.dumps(RECORD))
    (directory / "recipe.json").write_text(json.dumps(RECIPE))
    (directory / "scores.json").write_text(json.dumps({"psnr_y": {"ALL": 28.5}}))
    return directory


def mmsr(*args):
    """`mmsr report ARGS` in a process that has no torch and no ONNX Runtime."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, "report", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_report_is_written_and_its_heads_are_printed(run, tmp_path):
    result = mmsr(run, "--out", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "Experts of tiny-x4",
        "  1 trained expert, 12.0 s in all; the device had data 75% of it.",
    ]
    assert "Training time" in lines
    assert lines[-1] == f"{tmp_path / 'out' / 'report.md'}: written"
    assert "| deep   | compact |" in (tmp_path / "out/report.md").read_text()


def test_workers_are_whole_numbers(run, tmp_path):
    result = mmsr(run, "--workers", "1,none", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert not (tmp_path / "out").exists()


def test_what_is_no_run_is_one_line_and_nothing_is_written(tmp_path):
    result = mmsr(tmp_path, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr == (
        f"mmsr: error: {tmp_path}: not a run, it has no recipe.json; mmsr train makes one\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_foreign_evaluation_is_one_line(run, tmp_path):
    (tmp_path / "scores.json").write_text('{"rows": "\\u001b[31m"}')
    result = mmsr(run, "--evaluation", tmp_path / "scores.json", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "was it made by mmsr?" in result.stderr


def test_a_run_is_asked_for(tmp_path):
    result = mmsr("--out", tmp_path / "out")
    assert result.returncode == 2
    assert "RUN" in result.stderr
