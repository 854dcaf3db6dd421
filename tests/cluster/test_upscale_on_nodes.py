"""`mmsr upscale --ray`: what it does on a cluster is what it does here."""

import json
import os
import sys
import threading
import time
from functools import partial
from unittest import mock

import numpy as np
import pytest
import ray
from click.testing import CliRunner

from mmsr_core import __version__
from mmsr_core.cli import main
from mmsr_core.cli.opening import Asked, open_share
from mmsr_core.cluster import many
from mmsr_core.cluster.connection import connected
from mmsr_core.cluster.errand import Errand
from mmsr_core.cluster.many import alive, crew_for, each_on_nodes
from mmsr_core.runtime.image import Image, write
from mmsr_core.runtime.sizes import Size


def asked(model):
    return Asked(str(model), "cpu", Size(), None, None, None, None, None, 10**9)


def errands(folder, out, count, side):
    out.mkdir()
    for number in range(count):
        rgb = np.random.default_rng(number).random((side, side, 3), np.float32)
        write(folder / f"{number}.png", Image(rgb))
    return [Errand(f"{folder}/{n}.png", f"{out}/{n}.png") for n in range(count)]


@pytest.fixture
def upscale(upscaler):
    """upscale(*args): `mmsr upscale --model … --device cpu`, in this process."""

    def run(*args):
        words = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        return CliRunner().invoke(main, words, prog_name="mmsr", catch_exceptions=False)

    return run


def test_nodes_write_what_this_machine_writes_and_fail_as_it_fails(
    cluster, upscale, photos, tmp_path
):
    (photos / "broken.png").write_text("no image")
    here = upscale(photos, "-o", tmp_path / "here", "--json", tmp_path / "here.json")
    there = upscale(
        *(photos, "-o", tmp_path / "there", "--json", "-", "--ray", cluster.address),
    )
    assert here.exit_code == there.exit_code == 3
    lines = here.stderr.splitlines()
    assert [line for line in lines if "failed" in line] == [
        line for line in there.stderr.splitlines() if "failed" in line
    ]
    rows = {row["input"]: row for row in json.loads(there.stdout)["images"]}
    for row in json.loads((tmp_path / "here.json").read_text())["images"]:
        same = {"status", "error", "size", "upscaled", "classes", "macs"} & set(row)
        assert {key: row[key] for key in same} == {key: rows[row["input"]][key] for key in same}
    for name in ("a.png", "b.jpg", "deep/er/c.webp"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert not list((tmp_path / "there").rglob(".mmsr-*"))


def test_a_lost_node_costs_no_image(cluster, upscaler, tmp_path):
    wanted = errands(tmp_path, tmp_path / "out", 24, 160)
    killed = []

    def kill(share):
        if share > 0.1 and not killed:
            killed.append(cluster.worker_nodes.copy().pop())
            cluster.remove_node(killed[0], allow_graceful=False)

    with connected(cluster.address):
        crew = crew_for(alive(), len(wanted))
        opening = partial(open_share, asked(upscaler), crew.at_once)
        answers = list(each_on_nodes(opening, wanted, crew, watch=kill))
    cluster.add_node(num_cpus=1)
    assert crew.actors == 2
    assert killed
    assert sorted(number for number, _ in answers) == list(range(24))
    assert {outcome.status for _, outcome in answers} == {"done"}
    assert len(list((tmp_path / "out").glob("[0-9]*.png"))) == 24


def test_an_image_that_takes_its_process_along_fails_alone(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "TIMES", 1)
    monkeypatch.setattr(many, "ALONE", 1)

    def deadly(share):
        def upscale(task, progress):
            if task.source.name == "2.png":
                os._exit(1)
            return {}

        return upscale

    wanted = errands(tmp_path, tmp_path / "out", 4, 8)
    with connected(cluster.address):
        crew = crew_for(alive(), len(wanted), jobs=2)
        answers = dict(each_on_nodes(deadly, wanted, crew))
    assert {n: outcome.status for n, outcome in answers.items()} == {
        **{0: "done", 1: "done", 2: "failed", 3: "done"}
    }
    assert "was lost each time; out of memory?" in answers[2].error


def test_a_model_that_a_node_has_not_is_one_line(cluster, photos, tmp_path):
    words = ["upscale", photos, "-o", tmp_path / "out", "--model", "no-such-model"]
    result = CliRunner().invoke(main, [*map(str, words), "--ray", cluster.address])
    assert result.exit_code == 1
    assert "mmsr: error: on node " in result.stderr
    assert 'no model named "no-such-model"' in result.stderr


@pytest.mark.parametrize("after", [0, 1])
def test_a_batch_that_is_left_early_asks_ray_for_nothing_more(cluster, tmp_path, after):
    """A thread that does while the connection is closed has Ray end the whole process."""

    def endless(share):
        return lambda task, progress: time.sleep(600)

    started = time.monotonic()

    def interrupt(share):
        if time.monotonic() > started + after:
            raise KeyboardInterrupt

    wanted = errands(tmp_path, tmp_path / "out", 4, 8)
    with connected(cluster.address):
        crew = crew_for(alive(), len(wanted))
        with pytest.raises(KeyboardInterrupt):
            list(each_on_nodes(endless, wanted, crew, watch=interrupt))
        assert not [one for one in threading.enumerate() if one.name.startswith(many.THREADS)]


def test_a_node_without_mmsr_or_with_another_says_so(cluster):
    actor = many._actor()

    @ray.remote
    def refusal(version, modules):
        with mock.patch.dict(sys.modules, modules):  # the worker serves others after
            return actor(version, b"", None, 1)({"number": [0], "errand": [b""]})["answer"][0]

    with connected(cluster.address):
        missing = ray.get(refusal.remote("1.0.0", {"mmsr_core": None}))
        other = ray.get(refusal.remote("0.0.1", {}))
    assert "cannot import mmsr_core; install the same mmsr" in missing
    assert f"mmsr is {__version__}, here it is 0.0.1; install the same mmsr" in other


def test_a_bucket_is_upscaled_into_a_bucket_and_resumed(cluster, bucket, upscale, photos, tmp_path):
    bucket.put(str(photos), "shop/photos", recursive=True)
    bucket.pipe_file("shop/photos/broken.png", b"no image")
    words = ["s3://shop/photos", "-o", "s3://shop/large", "--ray", cluster.address]
    first = upscale(*words, "--json", tmp_path / "first.json")
    assert first.exit_code == 3
    assert "failed: s3://shop/photos/broken.png: not an image" in first.stderr
    upscale(photos, "-o", tmp_path / "here")
    for name in ("a.png", "b.jpg", "deep/er/c.webp"):
        assert bucket.cat_file(f"shop/large/{name}") == (tmp_path / "here" / name).read_bytes()

    bucket.rm_file("shop/photos/broken.png")
    bucket.rm_file("shop/large/a.png")
    again = upscale(*words, "--resume", "--json", tmp_path / "again.json")
    assert again.exit_code == 0
    assert "2 of 3 images are finished already" in again.stderr
    bucket.invalidate_cache()
    assert bucket.exists("shop/large/a.png")
    assert sorted(bucket.find("shop/large")) == [
        f"shop/large/{name}" for name in ("a.png", "b.jpg", "deep/er/c.webp")
    ]
