import json

import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.measure.niqe import niqe
from mmsr_core.measure.pristine import Pristine
from mmsr_core.runtime.image import Image, read, write


def texture(height, width, seed=0):
    """Noise in three octaves, 8 bits deep."""
    rng = np.random.default_rng(seed)
    layers = [
        rng.random((height // step + 1, width // step + 1, 3)).repeat(step, 0).repeat(step, 1)
        for step in (1, 4, 16)
    ]
    return np.mean([layer[:height, :width] for layer in layers], axis=0).astype(np.float32)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write(folder / "one.png", Image(texture(200, 300, 1)))
    write(folder / "two.png", Image(texture(192, 192, 2)))
    return folder


def run(*args):
    arguments = ["niqe", *map(str, args)]
    return CliRunner().invoke(main, arguments, prog_name="mmsr", catch_exceptions=False)


def refused(result, message):
    line = result.stderr.splitlines()[-1]
    return result.exit_code == 1 and line.startswith("mmsr: error: ") and message in line


def test_every_image_is_scored_and_the_mean(photos):
    scores = [niqe(read(photos / name).rgb, Pristine.open()) for name in ("one.png", "two.png")]
    result = run(photos)
    assert result.exit_code == 0
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == [
        [f"{scores[0]:.4f}", str(photos / "one.png")],
        [f"{scores[1]:.4f}", str(photos / "two.png")],
        [f"{np.mean(scores):.4f}", "mean of 2"],
    ]


def test_json_says_the_same(photos):
    found = json.loads(run(photos / "one.png", "--json").stdout)
    score = niqe(read(photos / "one.png").rgb, Pristine.open())
    assert found["images"] == [{"file": str(photos / "one.png"), "niqe": score}]
    assert found["mean"] == score
    assert "Cloudinary" in found["pristine"]["source"]


def test_an_image_that_is_too_small_is_skipped_and_named(photos, tmp_path):
    write(tmp_path / "small.png", Image(texture(95, 400)))
    result = run(photos / "one.png", tmp_path)
    assert result.exit_code == 0
    assert "small.png" not in result.stdout
    assert "small.png: skipped, no two blocks of 96x96 pixels" in result.stderr


def test_no_score_at_all_is_an_error(tmp_path):
    write(tmp_path / "small.png", Image(texture(95, 400)))
    assert refused(run(tmp_path), "no score: none of 1 images")


def test_a_model_is_fitted_and_then_compared_with(tmp_path):
    write(tmp_path / "a" / "photo.png", Image(texture(6 * 96, 6 * 96)))
    write(tmp_path / "b" / "photo.png", Image(texture(4 * 96, 4 * 96).repeat(3, 0).repeat(3, 1)))
    model = tmp_path / "model.npz"
    notes = ["--source", "noise", "--licence", "CC0-1.0", "--licence", "mine", "--shrink", "1"]
    result = run(tmp_path / "a", tmp_path / "b", "--fit", model, *notes, "--shrink", "3")
    assert result.exit_code == 0, result.stderr
    fitted = Pristine.open(model)
    assert f"{model}: {fitted.blocks} sharp blocks of 2 photographs" in result.stdout
    assert (fitted.source, fitted.licence) == ("noise", "CC0-1.0; mine")
    assert 36 < fitted.blocks <= 36 + 16
    scores = json.loads(run(tmp_path / "a", "--pristine", model, "--json").stdout)
    assert scores["pristine"] == {"source": "noise", "licence": "CC0-1.0; mine"}
    shipped = json.loads(run(tmp_path / "a", "--json").stdout)
    assert scores["mean"] < shipped["mean"]  # it is made of these very blocks


def test_too_few_photographs_are_refused_and_nothing_is_written(photos, tmp_path):
    assert refused(run(photos, "--fit", tmp_path / "m.npz"), "cannot fit a model: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pristine", "gone.npz"], "gone.npz: cannot read a pristine model"),
        (["--source", "noise"], "describe photographs to --fit"),
        (["--fit", "m.npz", "--json"], "--fit scores nothing"),
        (["--fit", "gone/m.npz"], "is not a folder; make it first"),
        (["--fit", "m.npz", "--shrink", 1, "--shrink", 2], "--shrink is given 2 times for 1"),
    ],
)
def test_what_does_not_go_together_is_refused(photos, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(run(photos, *options), message)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_refused(tmp_path):
    assert refused(run(tmp_path / "gone.png"), "no such file or folder")
