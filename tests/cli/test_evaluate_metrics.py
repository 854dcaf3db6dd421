import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from graphs import expert, nearest, write_upscaler

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, write

ROOT = Path(__file__).parents[2]
REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "scipy", "onnx", "torchmetrics"}:
            raise ImportError(f"{name} is refused here")

sys.meta_path.insert(0, Refuse())
from mmsr_core.cli import main
main(sys.argv[1:], prog_name="mmsr")
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photograph with texture, and a flat one that every nearest neighbour gets right."""
    folder = tmp_path_factory.mktemp("photos")
    coarse = np.random.default_rng(0).random((52, 100, 3), np.float32)
    write(folder / "busy.png", Image(coarse.repeat(4, 0).repeat(4, 1)))
    write(folder / "flat.png", Image(np.full((64, 48, 3), 0.5, np.float32)))
    return folder


@pytest.fixture
def evaluate(upscaler, photos):
    """evaluate(*args): `mmsr evaluate` on both photographs, in this process."""

    def run(*args):
        options = ["--model", upscaler, "--images", photos, "--device", "cpu", "--repeats", 1]
        arguments = ["evaluate", *map(str, [*options, *args])]
        return CliRunner().invoke(main, arguments, prog_name="mmsr", catch_exceptions=False)

    return run


def refused(result, message):
    lines = result.stderr.splitlines()
    return result.exit_code == 1 and lines[-1].startswith("mmsr: error: ") and message in lines[-1]


def test_a_machine_without_torch_measures_fidelity_and_naturalness(upscaler, photos, tmp_path):
    roots = [ROOT, ROOT / "plugins", ROOT / "exporters", ROOT / "registry"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, roots))}
    arguments = ["evaluate", "--model", upscaler, "--images", photos, "--device", "cpu"]
    arguments += ["--metrics", "psnr,ssim,ms-ssim,niqe", "--json", tmp_path / "scores.json"]
    result = subprocess.run(
        [sys.executable, "-c", REFUSE, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "scores.json").read_text())
    assert list(found["metrics"]) == ["psnr_y", "ssim_y", "ms_ssim_y", "niqe"]
    assert found["metrics"]["niqe"]["better"] == "lower"
    assert {"NIQE", "↓"} <= set(result.stdout.splitlines()[1].split())


def test_names_may_be_repeated_or_listed(evaluate):
    heads = evaluate("--metrics", "niqe, ssim", "--metrics", "psnr").stdout.splitlines()[1]
    assert " ".join(heads.split()) == "NIQE ↓ SSIM-Y ↑ PSNR-Y ↑ seconds time GMACs"


def test_a_metric_that_is_not_there_gets_the_nearest_name(evaluate):
    assert refused(evaluate("--metrics", "psnr,nique"), 'did you mean "niqe"?')


def test_no_metric_at_all_is_refused(evaluate):
    assert refused(evaluate("--metrics", ","), "--metrics names no metric")


def test_the_perceptual_index_without_ma_is_refused_in_one_line(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    result = evaluate("--metrics", "pi")
    assert refused(result, "ma needs pyiqa, which mmsr never installs")
    assert result.stdout == ""


def test_lpips_without_its_packages_names_the_extra(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert refused(evaluate("--metrics", "lpips"), "pip install 'mmsr[metrics]'")


def test_what_has_no_value_on_one_image_is_averaged_over_the_others(evaluate, tmp_path):
    result = evaluate("--metrics", "psnr,ms-ssim", "--json", tmp_path / "scores.json")
    assert "MS-SSIM-Y: over 1 of the images, the others have no value" in result.stdout
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["metrics"]["ms_ssim_y"]["images"] == 1
    small = next(photo for photo in found["per_image"] if photo["file"] == "flat.png")
    assert small["rows"]["routed"]["ms_ssim_y"] is None
    dear = next(row for row in found["rows"] if row["name"] == "dear")
    assert 0 <= dear["ms_ssim_y"] <= 1


def test_infinity_is_null_in_json_and_inf_in_csv_and_on_the_terminal(evaluate, tmp_path):
    result = evaluate("--json", tmp_path / "scores.json", "--csv", tmp_path / "rows.csv")
    line = next(line for line in result.stdout.splitlines() if line.startswith("bicubic"))
    assert line.split()[1] == "inf"
    text = (tmp_path / "scores.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    bicubic = json.loads(text)["rows"][0]
    assert bicubic["psnr_y"] is None
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = {(row["file"], row["row"]): row for row in csv.DictReader(file)}
    assert rows["flat.png", "bicubic"]["psnr_y"] == "inf"
    assert 5 < float(rows["busy.png", "bicubic"]["psnr_y"]) < 30


def test_the_csv_has_a_line_per_image_and_row(evaluate, tmp_path):
    assert evaluate("--csv", tmp_path / "rows.csv", "--effort", 0.5).exit_code == 0
    with (tmp_path / "rows.csv").open(newline="") as file:
        heads, *lines = csv.reader(file)
    assert heads == ["file", "row", "width", "height", "psnr_y", "ssim_y", "seconds"]
    names = ["bicubic", "cheap", "dear", "routed", "routed@0.5"]
    assert [line[:2] for line in lines] == [
        [file, name] for file in ("busy.png", "flat.png") for name in names
    ]
    assert lines[0][2:4] == ["400", "208"]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_another_model_is_measured_beside_it(evaluate, tmp_path):
    other = write_upscaler(tmp_path / "other", name="other").directory
    lines = evaluate("--against", other).stdout.splitlines()
    against = next(line for line in lines if line.startswith("other@1.0.0")).split()
    dear = next(line for line in lines if line.startswith("dear")).split()
    assert against[1:3] == dear[1:3]


def test_another_model_of_another_scale_is_refused(evaluate, tmp_path):
    graphs = {"cheap.onnx": nearest(4), "dear.onnx": nearest(4)}
    other = write_upscaler(tmp_path / "wide", graphs, name="wide", scale=4).directory
    assert refused(evaluate("--against", other), "wide@1.0.0 upscales by 4, not by 2")


def test_an_expert_named_routed_is_told_from_the_routed_engine(tmp_path, photos):
    routes = {"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["routed"]}}
    experts = [expert("cheap", 0.01, 3.0, 0), expert("routed", 1.0, 7.0, 2)]
    graphs = {"routed.onnx": nearest()}
    model = write_upscaler(tmp_path / "b", graphs, routes=routes, experts=experts).directory
    arguments = ["evaluate", "--model", str(model), "--images", str(photos), "--repeats", "1"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    names = [line.split()[0] for line in result.stdout.splitlines()[2:6]]
    assert names == ["bicubic", "cheap", "expert:routed", "routed"]


def test_the_plot_draws_the_first_metric(evaluate, tmp_path):
    path = tmp_path / "scores.svg"
    assert evaluate("--metrics", "ssim,psnr", "--plot", path).exit_code == 0
    assert "SSIM-Y, higher is better" in path.read_text()
