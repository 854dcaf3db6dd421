import json
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.prepare import shards
from mmsr_core.train.prepare.store import Store

# The built-in plugins by name, so that the test needs no installed distribution.
PROGRAM = """
import sys
from importlib.metadata import EntryPoint
from mmsr_core.cli import main
from mmsr_core.plugin import catalog
catalog.entry_points = lambda group: [EntryPoint("texture", "mmsr_texture", "mmsr")]
BEFORE
main(prog_name="mmsr")
"""
# As if the power went: no handler runs, no file is closed.
LARGE = 50_000
KILLED = f"""
import os, signal
from mmsr_core.cli.progress import Stages
from mmsr_core.train.prepare import shards
shards.LARGE = {LARGE}
seen = []
def report(self, what, done, total):
    seen.append(what)
    if len(seen) == STOP:
        os.kill(os.getpid(), signal.SIGKILL)
Stages.report = report
"""


def alone(*args, before=""):
    """`mmsr prepare` in a process of its own; `before` is run first."""
    command = [sys.executable, "-c", PROGRAM.replace("BEFORE", before), "prepare", *map(str, args)]
    # The child imports what this process does, installed or not.
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    return subprocess.run(command, capture_output=True, text=True, env=path, check=False)


@pytest.fixture
def mmsr(monkeypatch):
    """mmsr(*args): `mmsr prepare` in this process, which has torch already."""
    points = [EntryPoint("texture", "mmsr_texture", "mmsr")]
    monkeypatch.setattr(Catalog, "load", classmethod(lambda cls, load=Catalog.load: load(points)))
    return lambda *args: CliRunner().invoke(main, ["prepare", *map(str, args)], prog_name="mmsr")


def contents(folder):
    """Every file below a folder, and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def photos(tmp_path):
    """Six photographs, the left half of each flat."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 255, (96, 128, 3), np.uint8)
        pixels[:, :64] = 20 * index
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    return folder


def test_photographs_become_a_store_and_a_picture(mmsr, photos, tmp_path):
    out, picture = tmp_path / "out", tmp_path / "tiles.png"
    asked = photos, "--out", out, "--tile", 8, "--prune", 0.4
    first = alone(*asked, "--report", picture)
    assert first.returncode == 0, first.stderr
    assert first.stdout == (
        "photographs  6\n"
        "tiles        72 → 36\n"
        "bytes        0.2 MB → 0.1 MB\n"
        "pruned       50.0% (asked 40.0%)\n" + first.stdout[first.stdout.index("thresholds") :]
    )
    assert "VSP 0.01, edge magnitude 0.75" in first.stdout
    store = Store.open(out)
    assert (store.index.left[store.rows] >= 16).all()
    assert cv2.imread(str(picture)) is not None

    again = mmsr(*asked, "--json")
    assert again.exit_code == 0, again.stderr
    facts = json.loads(again.stdout)
    assert (facts["tiles"], facts["pruned"]) == ({"all": 72, "kept": 36}, 0.5)
    assert (facts["target"], facts["skipped"]) == (0.4, [])
    assert facts["thresholds"] == {
        "vsp": 0.01,
        "edge_magnitude": 0.75,
        **store.facts["thresholds"],
    }
    assert again.stderr == ""


def test_a_finished_store_says_so_and_another_request_is_refused(mmsr, photos, tmp_path):
    out = tmp_path / "out"
    limits = ("--threshold0", 0.02, "--threshold1", 0.5)
    votes = ("--threshold2", 0.1, "--threshold3", 0.1, "--threshold4", 0.1)
    asked = photos, "--out", out, "--tile", 8, *limits, *votes
    assert "tiles        72 → 36" in mmsr(*asked).stdout
    again = mmsr(*asked)
    assert again.stdout.startswith(f"{out}: is finished already; nothing to do\n")
    assert Store.open(out).facts["request"]["options"]["threshold"] == 0.02
    other = mmsr(*asked, "--overlap", 2)
    assert (other.exit_code, other.stdout) == (1, "")
    assert other.stderr == (
        f"mmsr: error: {out}: holds a store of overlap 0, not 2; "
        "choose another --out, or delete it first\n"
    )


@pytest.mark.parametrize("stop", [3, 9])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    mmsr, photos, tmp_path, monkeypatch, stop
):
    monkeypatch.setattr(shards, "LARGE", LARGE)
    asked = photos, "--tile", 8, "--prune", 0.4, "--jobs", 2
    assert mmsr(*asked, "--out", tmp_path / "whole").exit_code == 0
    assert len(Store.open(tmp_path / "whole").shards) > 1
    killed = alone(*asked, "--out", tmp_path / "out", before=KILLED.replace("STOP", str(stop)))
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "out" / "unfinished" / "request.json").exists()
    assert mmsr(*asked, "--out", tmp_path / "out").exit_code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_bad_files_are_named_on_stderr_and_in_json(mmsr, photos, tmp_path):
    (photos / "empty.png").touch()
    (photos / "5.png").write_bytes(b"no image")
    result = mmsr(photos, "--out", tmp_path / "out", "--tile", 8, "--shrink", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert "skipped 5.png (reduced by 2): not an image in a known format\n" in result.stderr
    assert "skipped empty.png (reduced by 2): the file is empty\n" in result.stderr
    skipped = [one["path"] for one in json.loads(result.stdout)["skipped"]]
    assert skipped == ["5.png", "empty.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prune", "1"], "prune 1: has to lie between 0 and 1"),
        (["--prune", "0"], "prune 0: has to lie between 0 and 1"),
        (["--threshold2", "0"], "pruning takes threshold 2"),
        (["--extractor", "textur"], 'did you mean "texture"?'),
        (["--scale", "4", "--tile", "200"], "nothing to cut a tile from"),
        (["--report", "nowhere/tiles.png"], "nowhere is not a folder"),
        (["--report", "PHOTOS/tiles.png"], "would be taken for one of the images"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(mmsr, photos, tmp_path, options, message):
    options = [option.replace("PHOTOS", str(photos)) for option in options]
    result = mmsr(photos, "--out", tmp_path / "out", *options)
    assert message in result.stderr.splitlines()[-1]
    assert (result.exit_code, result.stdout) == (1, "")
    assert not (tmp_path / "out").exists()


def test_without_torch_the_extra_is_named(photos, tmp_path):
    result = alone(photos, "--out", tmp_path / "out", before="sys.modules['torch'] = None")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "mmsr: error: mmsr prepare needs torch, which is not installed; pip install 'mmsr[train]'\n"
    )
