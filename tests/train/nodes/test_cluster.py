"""A Ray cluster of three nodes on this machine: the driver's, which has no room, and two."""

import json
import os
import re
import sys
import time
from unittest import mock

import pytest
import ray
import torch
from click.testing import CliRunner
from ray.cluster_utils import Cluster

from mmsr_core import __version__
from mmsr_core.cli import main
from mmsr_core.cluster.connection import connected
from mmsr_core.errors import DeviceError
from mmsr_core.train.nodes import cluster as module
from mmsr_core.train.nodes.cluster import room, train_on_nodes
from mmsr_core.train.recipe import parse
from mmsr_core.train.stages import train

QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}
"""A lost node is noticed soon, and tasks need not wait until the machine is idle."""


TOML = """
name = "tiny-x2"
scale = 2
data = [{ folder = "photos" }]
split = { experts = 0.5, router = 0.25, test = 0.25 }
training = { steps = 3, batch = 1, patch = 8 }
routes = { FLAT = "small", REST = "large" }

[[experts]]
name = "small"
backbone = "compact"
depth = 1
options = { channels = 4 }

[[experts]]
name = "large"
backbone = "compact"
depth = 2
training = { rate = 1e15, warmup = 0 }
"""
"""Two experts, and the rate of one is out of the question."""


def ignore(what, done, total):
    pass


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def images(tmp_path, make_photos):
    make_photos(tmp_path / "images" / "photos", count=5)
    return tmp_path / "images"


@pytest.fixture
def make(asked):
    """make(large): the tiny recipe, with training settings for its large expert."""

    def make(large=None):
        asked["experts"][2]["training"] = large or {}
        return parse(asked, "recipe")

    return make


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """As many as a task has on a node of one CPU: sums come out the same to the last bit."""
    monkeypatch.setattr(module, "POLL", 0.1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(out, name):
    return torch.load(out / "experts" / name / "weights.pt", weights_only=True)


def same(one, other, name):
    mine, theirs = weights(one, name), weights(other, name)
    return all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_an_expert_whose_node_is_lost_goes_on_elsewhere_from_its_checkpoint(
    cluster, make, images, catalog, tmp_path
):
    recipe = make({"steps": 600, "save_every": 20})
    out = tmp_path / "run"
    lost, told = [], []

    def kill(what, done, total):
        told.append(what)
        folder = out / "experts" / "large"
        if (folder / "checkpoint.pt").exists() and not lost:
            lost.append(json.loads((folder / "claim.json").read_text())["node"])
            nodes = {node.node_id[:8]: node for node in cluster.worker_nodes}
            cluster.remove_node(nodes[lost[0].rpartition("/")[2]], allow_graceful=False)

    with connected(cluster.address):
        run = train(recipe, images, out, catalog, kill, elsewhere=train_on_nodes)
    cluster.add_node(num_cpus=1)

    record = run.record(recipe.experts[2])
    (resumed,) = (what for what in told if what.startswith("large: goes on from step "))
    assert 20 <= int(resumed.rpartition(" ")[2]) < 600
    assert record["node"] != lost[0]
    assert record["steps"] == 600
    assert [what for what in told if what.startswith("small: on node")] == [
        f"small: on node {run.record(recipe.experts[1])['node']}"
    ]
    here = train(recipe, images, tmp_path / "here", catalog, ignore)
    for name in ("small", "large"):
        assert same(run.directory, here.directory, name)
    assert run.scores() == here.scores()


def test_an_expert_that_fails_is_one_line_and_the_others_finish(
    cluster, asked, images, catalog, tmp_path, monkeypatch
):
    monkeypatch.setattr("mmsr_core.plugin.catalog.entry_points", lambda group: catalog.points)
    (tmp_path / "tiny.toml").write_text(TOML)
    args = ["train", tmp_path / "tiny.toml", "--images", images, "--out", tmp_path / "run"]
    result = CliRunner().invoke(main, [*map(str, args), "--ray", cluster.address])
    assert result.exit_code == 1
    line = r"(large: on node \S+: the loss is nan at step 3; lower the rate)"
    (remark, error) = (found for found in result.stderr.splitlines() if "the loss" in found)
    assert re.fullmatch(line, remark)
    assert error == f"mmsr: error: {remark}"
    assert "experts: 2 done" in result.stderr
    assert (tmp_path / "run" / "experts" / "small" / "weights.pt").exists()
    assert not list((tmp_path / "run").glob("shared-*"))


def test_an_interrupted_driver_stops_its_tasks_and_any_machine_resumes_the_run(
    cluster, make, images, catalog, tmp_path
):
    recipe = make({"steps": 500, "save_every": 20})
    checkpoint = tmp_path / "run" / "experts" / "large" / "checkpoint.pt"

    def interrupt(what, done, total):
        if checkpoint.exists():
            raise KeyboardInterrupt

    with connected(cluster.address), pytest.raises(KeyboardInterrupt):
        train(recipe, images, tmp_path / "run", catalog, interrupt, elsewhere=train_on_nodes)
    time.sleep(0.5)
    before = checkpoint.stat().st_mtime_ns
    time.sleep(1)
    assert checkpoint.stat().st_mtime_ns == before
    told = []
    train(recipe, images, tmp_path / "run", catalog, lambda *at: told.append(at[0]), resume=True)
    assert any(what.startswith("large: goes on from step ") for what in told)


def test_a_node_without_mmsr_or_with_another_says_so(cluster):
    @ray.remote
    def without(train):
        with mock.patch.dict(sys.modules, {"mmsr_core": None}):  # the worker serves others after
            return train("1.0.0", b"", None)

    train_there = module._task()
    with connected(cluster.address):
        missing = ray.get(without.remote(train_there))
        other = ray.get(ray.remote(train_there).remote("0.0.1", b"", None))
    assert "cannot import mmsr_core; install the same mmsr" in missing
    assert f"mmsr is {__version__}, here it is 0.0.1; install the same mmsr" in other


@pytest.mark.parametrize(
    ("nodes", "devices", "experts", "expected"),
    [
        ([{"CPU": 16}] * 3, 1, 3, (16, 0)),  # a node each
        ([{"CPU": 16}] * 3, 1, 5, (8, 0)),  # two share a node
        ([{"CPU": 16}, {"CPU": 4}], 1, 2, (4, 0)),  # any of them fits on any node
        ([{"CPU": 16}, {"CPU": 1}], 2, 2, (8, 0)),  # the small one is left out
        ([{"CPU": 2}], 2, 9, (2, 0)),  # a process has a CPU
        ([{"CPU": 16, "GPU": 4}, {"CPU": 64}], 1, 3, (4, 1)),  # a GPU's share of its node
        ([{"CPU": 2, "GPU": 8}], 2, 3, (0, 2)),
        ([{}, {"CPU": 3, "memory": 1e9}], 1, 2, (1, 0)),
    ],
)
def test_experts_share_the_nodes(nodes, devices, experts, expected):
    assert room(nodes, devices, experts) == expected


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        (
            [{"CPU": 64, "GPU": 2}, {"CPU": 64}],
            "4 GPUs, and no node of the cluster has more than 2",
        ),
        ([{"CPU": 3}], "4 CPUs, and no node of the cluster has more than 3"),
        ([], "4 CPUs, and no node of the cluster has more than 0"),
    ],
)
def test_more_devices_than_any_node_has_are_refused(nodes, line):
    with pytest.raises(DeviceError, match=line):
        room(nodes, 4, 1)
