"""Class-wise training of experts of different kinds, from a store to a draft."""

import json
from shutil import copytree, rmtree

import pytest

from mmsr_core.train.prepare.passes import prepare
from mmsr_core.train.prepare.request import Request
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import make_draft, train


def ignore(what, done, total):
    pass


@pytest.fixture
def asked(asked):
    asked["data"] = [{"folder": "photos", "store": "tiles"}]
    asked["bands"] = {"quantiles": [0.4, 0.7]}
    asked["training"] = {
        "epochs": 1,
        "batch": 4,
        "patch": 16,
        "save_every": 2,
        "adversarial": {"epochs": 1, "features": "none"},
    }
    asked["experts"] = [
        {"name": "pixel", "backbone": "msrresnet", "depth": 1, "options": {"channels": 4}},
        {
            "name": "gan",
            "backbone": "srgan",
            "depth": 1,
            "options": {"channels": 4},
            "discriminator": {"layers": 1, "channels": 4},
        },
        {
            "name": "dense",
            "backbone": "esrgan",
            "depth": 1,
            "options": {"channels": 4, "growth": 2},
            "discriminator": {"channels": 4},
        },
    ]
    asked["routes"] = {
        "SIMPLE": {"experts": ["pixel", "gan"], "fuser": "edge"},
        "MODERATE": "gan",
        "COMPLEX": "dense",
    }
    return asked


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder to keep what was trained once, and only to be read."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def run(asked, trained, make_photos, catalog):
    if not (trained / "run").exists():
        make_photos(trained / "photos", 10, 96, 128)
        request = Request(scale=2, tile=16, share=0.3)
        prepare(request, trained / "photos", trained / "tiles", catalog, 1, ignore)
        train(parse(asked, "r"), trained, trained / "run", catalog, ignore)
    return trained / "run"


def read(path):
    return json.loads(path.read_text())


def test_each_kind_at_its_own_depth_is_recorded_with_what_its_training_took(run):
    records = {
        name: read(run / "experts" / name / "training.json") for name in ("pixel", "gan", "dense")
    }
    assert records["pixel"]["classes"] == ["SIMPLE"]
    assert records["gan"]["classes"] == ["SIMPLE", "MODERATE"]
    assert records["dense"]["classes"] == ["COMPLEX"]
    assert records["gan"]["tiles"] > records["dense"]["tiles"] > 0
    for record in records.values():
        assert record["steps"] == -(-record["tiles"] // 4)  # one epoch of batches of four
        assert record["bytes"] == record["tiles"] * 3 * 16**2 * 5
        assert 0 <= record["waited"] <= record["seconds"]
    assert records["gan"]["discriminator"] == {"layers": 1, "channels": 4}
    assert records["dense"]["discriminator"] == {"layers": 10, "channels": 4}  # the plugin's own
    assert records["pixel"]["adversarial_steps"] == 0
    assert records["gan"]["adversarial_steps"] == records["gan"]["steps"]


def test_the_run_is_opened_with_the_recipe_it_was_made_from(run, asked):
    assert Run.open(run).recipe == parse(asked, "r")


def test_the_depth_table_covers_every_class_and_expert(run):
    table = read(run / "depth.json")
    assert table["classes"] == ["SIMPLE", "MODERATE", "COMPLEX"]
    assert table["experts"] == ["pixel", "gan", "dense"]
    assert sum(table["tiles"]) == read(run / "scores.json")["cells"]
    for row in filter(None, table["wins"]):
        assert sum(row) == pytest.approx(1, abs=1e-3)


def test_the_scores_speak_of_the_routes_alone(run):
    assert list(read(run / "scores.json")["psnr_y"]) == ["SIMPLE", "MODERATE", "COMPLEX"]


def test_another_router_needs_neither_the_store_nor_new_experts(
    run, asked, trained, catalog, tmp_path
):
    copytree(run, tmp_path / "run")
    copytree(trained / "photos", tmp_path / "photos")
    weights = {path: path.read_bytes() for path in (tmp_path / "run").rglob("weights.pt")}
    assert len(weights) == 3
    asked["router"] = {"classifier": {"name": "forest-gain", "options": {"trees": 3}}}
    refitted = train(parse(asked, "r"), tmp_path, tmp_path / "run", catalog, ignore, resume=True)
    assert all(path.read_bytes() == before for path, before in weights.items())
    draft = make_draft(refitted, catalog)
    assert draft.router.output == "errors"
    assert [expert.backbone for expert in draft.experts] == ["msrresnet", "srgan", "esrgan"]
    rmtree(tmp_path / "run")
