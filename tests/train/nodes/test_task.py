import pickle
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.nodes.task import Order, carry_out, fingerprint
from mmsr_core.train.run import Run
from mmsr_core.train.stages import train

ONE_CPU = 1


def ignore(what, done, total):
    pass


@pytest.fixture
def order(recipe, make_photos, catalog, tmp_path):
    images = tmp_path / "images"
    make_photos(images / "photos", count=5)
    Run.create(tmp_path / "run", recipe, resume=False)
    (tmp_path / "run" / "shared-1").touch()
    photos = fingerprint(recipe, images)
    return Order(tmp_path / "run", "shared-1", images, photos, "small", catalog, ONE_CPU)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_trains_one_expert_with_the_threads_it_is_given(order):
    told = []
    assert carry_out(pickle.dumps(order), "n1", lambda *at: told.append(at)) is None
    assert torch.get_num_threads() == ONE_CPU
    assert [path.parent.name for path in order.directory.rglob("weights.pt")] == ["small"]
    assert told[0] == ("small: on node n1", 0, 0)
    assert told[-1][0].startswith("small: loss ")


def test_its_record_says_where_and_when(order, recipe):
    carry_out(pickle.dumps(order), "n1", ignore)
    record = Run.open(order.directory).record(recipe.experts[1])
    assert record["node"] == "n1"
    assert record["started"] < record["ended"]
    assert record["ended"] - record["started"] >= record["seconds"] - 0.01


def test_it_starts_from_another_run_wherever_it_works(
    order, recipe, catalog, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = train(recipe, order.images, tmp_path / "first", catalog, ignore)
    still = recipe.training.model_copy(update={"steps": 0})
    changes = {"start": Path("first"), "training": still}
    Run.create(order.directory, recipe.model_copy(update=changes), resume=True)
    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path / "node")
    there = replace(order, start=tmp_path / "first")
    assert carry_out(pickle.dumps(there), "n1", ignore) is None
    small = recipe.experts[1]
    begun, ended = (
        torch.load(run.expert(small) / "weights.pt", weights_only=True)
        for run in (first, Run.open(order.directory))
    )
    for name, value in begun.items():
        torch.testing.assert_close(ended[name], value, rtol=0, atol=0)


def test_an_expert_that_is_finished_is_left_alone(order):
    weights = order.directory / "experts" / "small" / "weights.pt"
    weights.write_bytes(b"finished")
    assert carry_out(pickle.dumps(order), "n1", ignore) is None
    assert weights.read_bytes() == b"finished"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"marker": "shared-2"}, "put --out on a file system that all nodes share"),
        ({"images": "elsewhere"}, "put --images on a file system that all nodes share"),
        ({"start": "gone"}, "put the recipe's start on a file system that all nodes share"),
        ({"photos": "others"}, "holds other photographs than on the machine"),
    ],
)
def test_a_node_that_sees_something_else_says_what_to_share(order, tmp_path, change, line):
    change = {
        name: tmp_path / value if name in ("images", "start") else value
        for name, value in change.items()
    }
    reason = carry_out(pickle.dumps(replace(order, **change)), "n1", ignore)
    assert reason.startswith("on node n1: ")
    assert line in reason
    assert not list(order.directory.rglob("weights.pt"))


def test_a_node_without_a_plugin_says_which(order):
    catalog = Catalog.load([EntryPoint("compact", "mmsr_not_here", "mmsr")])
    reason = carry_out(pickle.dumps(replace(order, catalog=catalog)), "n1", ignore)
    assert reason.startswith('on node n1: expert floor: no backbone named "bicubic"')
    assert "plugin compact is broken (ModuleNotFoundError" in reason
