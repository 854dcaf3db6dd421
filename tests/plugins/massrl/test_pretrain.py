"""Pretraining: short real runs, resumed ones, and what is refused."""

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.runtime import image
from mmsr_core.train.pictures import Held
from mmsr_massrl import register_extractors
from mmsr_massrl.encoder import load_encoder, read_encoder
from mmsr_massrl.policies import read_policy
from mmsr_massrl.sets import HARMLESS

(EXTRACTOR,) = register_extractors()
SHORT = {"batch": 32, "steps": 40, "save_every": 5, "hidden": 64, "rate": 3.0}


def tiles(count=96, side=48, seed=0):
    """Textures of random direction, fineness and colour (n,s,s,3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    made = []
    for _ in range(count):
        angle, period = rng.uniform(0, np.pi), rng.uniform(3, 20)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        low, high = rng.uniform(0, 120, 3), rng.uniform(130, 255, 3)
        colours = low + (high - low) * (wave[..., None] + 1) / 2
        made.append(colours + rng.normal(0, rng.uniform(0, 12), colours.shape))
    return np.stack(made).clip(0, 255).astype(np.uint8)


def ignore(what, done, total):
    pass


def pretrain(out, report=ignore, pictures=None, resume=False, seed=0, **options):
    held = Held(tiles() if pictures is None else pictures, "made for a test")
    EXTRACTOR.pretrain(
        lambda side, cut: held,
        out,
        report,
        seed=seed,
        resume=resume,
        device="cpu",
        **(SHORT | options),
    )


def stop_at(step):
    def report(what, done, total):
        if total and done == step:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An encoder file, and what its run reported."""
    out, said = tmp_path_factory.mktemp("finished") / "e.safetensors", []
    pretrain(out, lambda *what: said.append(what))
    return out, said


def test_a_short_run_learns_without_collapsing(finished):
    out, said = finished
    encoder, facts = read_encoder(out)
    assert facts.made["loss"] < -0.4
    assert facts.made["spread"] > 0.6
    assert facts.made["steps"] == 40
    assert facts.note == "96 images of 48 pixels: made for a test"
    assert said[-1][1:] == (40, 40)
    assert not any("collapsed" in what for what, _, _ in said)
    # The collapse test on what the file holds: l2-normalised features of unseen tiles.
    unseen = torch.from_numpy(tiles(seed=1)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = encoder(unseen) - encoder.centre
    deviation = torch.nn.functional.normalize(features, dim=1).std(dim=0).mean()
    assert deviation * encoder.channels**0.5 > 0.6


def test_the_file_holds_fitted_principal_axes(finished):
    encoder = load_encoder(finished[0])
    assert encoder.centre.abs().max() > 0
    assert not torch.equal(encoder.axes, torch.eye(*encoder.axes.shape))


def test_the_curves_are_written_for_tensorboard(finished):
    assert list(finished[0].with_name("e.safetensors.run").glob("logs/events.*"))


def test_a_resumed_run_ends_as_an_unbroken_one(tmp_path, finished):
    out, said = tmp_path / "broken.safetensors", []
    with pytest.raises(KeyboardInterrupt):
        pretrain(out, stop_at(20))
    assert not out.exists()
    pretrain(out, lambda *what: said.append(what), resume=True)
    assert said[0] == ("goes on from step 15", 0, 0)
    assert read_encoder(out)[1].sha256 == read_encoder(finished[0])[1].sha256


def test_another_seed_gives_another_encoder(tmp_path):
    for seed in (0, 1):
        pretrain(tmp_path / f"{seed}.safetensors", seed=seed, steps=4)
    one, other = (read_encoder(tmp_path / f"{seed}.safetensors")[1] for seed in (0, 1))
    assert one.sha256 != other.sha256


@pytest.mark.parametrize(
    "options",
    [
        {"policy": ("byol",), "crop": "uniform"},
        {"policy": ("massrl-small", "randaugment:1,5"), "views": 3},
        {"width": 2.0, "policy": ("autoaugment",), "crop": "inception", "cut": 0},
        {"precision": "bf16-mixed"},
        {"epochs": 1.0, "steps": None},
    ],
    ids=str,
)
def test_other_settings_run_too(tmp_path, options):
    pretrain(tmp_path / "e.safetensors", **({"steps": 3} | options))
    record = json.loads((tmp_path / "e.safetensors.run" / "pretraining.json").read_text())
    assert np.isfinite(record["loss"])
    assert record["seconds"]["total"] > record["seconds"]["augmented"] > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 97}, "96 images are too few for a batch of 97"),
        ({"side": 64, "cut": 0}, "images of 48 pixels are smaller than a view of 64"),
        ({"side": 32, "cut": 16}, "tiles of 16 pixels are smaller than a view of 32"),
        ({"policy": ("mine",)}, 'no policy named "mine"'),
        ({"crop": "middle"}, "crop"),
        ({"encoder": "resnet34"}, 'no encoder named "resnet34"'),
        ({"views": 1}, "views"),
        ({"tau": 1.0}, "tau"),
        ({"precision": "fp8"}, "precision"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused_in_one_line(tmp_path, options, says):
    with pytest.raises(RecipeError) as caught:
        pretrain(tmp_path / "e.safetensors", **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    held = Held(tiles(), "made for a test")
    given = {"seed": 0, "resume": False, "device": "tpu"}
    out = tmp_path / "e.safetensors"
    with pytest.raises(RecipeError, match="device tpu") as caught:
        EXTRACTOR.pretrain(lambda side, cut: held, out, ignore, **given, **SHORT)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_encoder_is_not_overwritten(tmp_path):
    (tmp_path / "e.safetensors").write_bytes(b"mine")
    with pytest.raises(RecipeError, match="exists already"):
        pretrain(tmp_path / "e.safetensors")
    assert (tmp_path / "e.safetensors").read_bytes() == b"mine"


def test_a_finished_run_that_is_resumed_has_nothing_to_do(finished):
    out, said = finished[0], []
    before = out.read_bytes()
    pretrain(out, lambda *what: said.append(what), resume=True)
    assert said == [(f"{out}: is finished already; nothing to do", 0, 0)]
    assert out.read_bytes() == before
    with pytest.raises(RecipeError, match="exists already"):
        pretrain(out, resume=True, rate=1.0)


def test_a_damaged_checkpoint_is_named_in_one_line(tmp_path):
    out = tmp_path / "e.safetensors"
    with pytest.raises(KeyboardInterrupt):
        pretrain(out, stop_at(20))
    (tmp_path / "e.safetensors.run" / "checkpoint.pt").write_bytes(b"hello")
    with pytest.raises(RecipeError, match="a damaged checkpoint"):
        pretrain(out, resume=True)


def test_an_unfinished_run_goes_on_only_as_it_began(tmp_path):
    out = tmp_path / "e.safetensors"
    with pytest.raises(KeyboardInterrupt):
        pretrain(out, stop_at(20))
    with pytest.raises(RecipeError, match="add --resume"):
        pretrain(out)
    with pytest.raises(RecipeError, match="began with other settings"):
        pretrain(out, resume=True, rate=0.2)
    with pytest.raises(RecipeError, match="began with other seed"):
        pretrain(out, resume=True, seed=7)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(RecipeError, match="lower the rate"):
        pretrain(tmp_path / "e.safetensors", rate=1e30, steps=5)
    assert not (tmp_path / "e.safetensors").exists()


def test_a_search_writes_a_policy_of_harmless_operations_for_tiles(tmp_path):
    out = tmp_path / "found.json"
    pretrain(out, search=True, steps=5)
    policy = read_policy(out)
    (strategy,) = policy.view(0).strategies
    names = {name for steps in strategy.subpolicies for name, _, _ in steps}
    assert names <= set(HARMLESS)
    assert len(strategy.subpolicies) == len(set(strategy.subpolicies)) > 8
    assert policy.view(0).crop.kind == "window"
    pretrain(tmp_path / "e.safetensors", policy=(str(out),), steps=2)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [("found.txt", {}, "ends in .json"), ("found.json", {"batch": 90}, "too few for a search")],
)
def test_a_search_that_cannot_be_is_refused(tmp_path, name, options, says):
    with pytest.raises(RecipeError, match=says):
        pretrain(tmp_path / name, search=True, **options)


@pytest.fixture
def command(monkeypatch):
    """Run the command with no plugins but these."""
    names = ("massrl", "texture")
    catalog = Catalog.load([EntryPoint(name, f"mmsr_{name}", "mmsr") for name in names])
    monkeypatch.setattr(Catalog, "load", lambda: catalog)
    return lambda *words: CliRunner().invoke(main, ["pretrain", *map(str, words)])


def test_the_command_pretrains_on_a_folder_of_photographs(tmp_path, command):
    for number, array in enumerate(tiles(3, 150)):
        image.write(tmp_path / "photos" / f"{number}.png", image.Image(array / np.float32(255)))
    out = tmp_path / "e.safetensors"
    options = ["--batch", 8, "--steps", 2, "--hidden", 16, "--policy", "tile", "--device", "cpu"]
    answer = command("massrl", "--images", tmp_path / "photos", "--out", out, *options)
    assert answer.exit_code == 0, answer.output
    assert "e.safetensors: written" in answer.output
    assert read_encoder(out)[1].note == "27 images of 48 pixels: photos, 3 images"


def test_the_command_refuses_in_one_line(tmp_path, command):
    out = ["--images", tmp_path, "--out", tmp_path / "e.safetensors"]
    for words, says in (
        (["massrl"], "no image in this folder"),
        (["texture"], "no weights to train"),
        (["masrl"], 'no extractor named "masrl"'),
        (["massrl", "--policy", "nowhere.json"], "cannot read the policy"),
    ):
        answer = command(*words, *out)
        assert answer.exit_code == 1
        assert says in answer.output
        assert len(answer.output.strip().splitlines()) == 1
