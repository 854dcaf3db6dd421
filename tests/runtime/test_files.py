"""Image files to image files, several at a time: the pixels, the facts, and what goes wrong."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from graphs import expert, nearest, write_upscaler

from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.files import Settings, Stuck, Task, each_file, upscale_files, workers_for
from mmsr_core.runtime.image import Header, Image, read, resize, sink_memory, write

ROOMY = 2**34


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(write_upscaler(tmp_path_factory.mktemp("b") / "tiny"), "cpu", threads=1)


@pytest.fixture
def tasks(tmp_path):
    """Twelve photographs of several sizes, and where their answers go."""
    for number in range(12):
        rgb = np.random.default_rng(number).random((10 + 7 * number, 40, 3), np.float32)
        rgb[:, :20] = 0
        write(tmp_path / f"{number:02d}.png", Image(rgb))
    sources = sorted(tmp_path.glob("*.png"))
    (tmp_path / "out").mkdir()
    return [Task(path, tmp_path / "out" / path.name) for path in sources]


def run(engine, tasks, workers=3, memory=ROOMY, watch=lambda share: None):
    return dict(upscale_files(engine, tasks, Settings(None, None, memory, workers), watch))


def test_a_folder_is_its_files_one_at_a_time_to_the_bit(engine, tasks):
    run(engine, tasks, workers=4)
    together = [task.target.read_bytes() for task in tasks]
    for task in tasks:
        run(engine, [task], workers=1)
    assert [task.target.read_bytes() for task in tasks] == together


def test_a_file_holds_what_the_engine_answers(engine, tasks):
    run(engine, tasks[:1])
    pixels = engine.upscale(read(tasks[0].source).rgb).pixels
    np.testing.assert_allclose(read(tasks[0].target).rgb, pixels.clip(0, 1), atol=0.51 / 255)


def test_each_outcome_has_its_facts(engine, tasks):
    found = run(engine, tasks)
    assert [found[task].facts["size"] for task in tasks] == [[40, 10 + 7 * n] for n in range(12)]


def test_the_stages_are_those_from_file_to_file(engine, tasks):
    (outcome,) = run(engine, tasks[-1:]).values()
    stages = {"decode", "route", "plan", "experts", "stitch", "encode"}
    assert outcome.facts["stages"].keys() == stages


def test_a_bad_file_stops_no_other(engine, tasks):
    tasks[3].source.write_bytes(b"not an image")
    found = run(engine, tasks)
    assert found[tasks[3]].error == "not an image in a known format"
    assert [one.status for one in found.values()].count("done") == 11


def test_a_file_that_vanishes_after_the_listing_stops_no_other(engine, tasks):
    tasks[3].source.unlink()
    found = run(engine, tasks)
    assert (found[tasks[3]].status, found[tasks[3]].error) == ("failed", "no such file")
    assert [one.status for one in found.values()].count("done") == 11


def test_a_target_folder_that_vanishes_is_named_and_not_made_anew(engine, tasks, tmp_path):
    (tmp_path / "out").rmdir()
    (outcome,) = run(engine, tasks[:1]).values()
    assert outcome.error.endswith(f"folder {tmp_path / 'out'} is gone; was its disc removed?")
    assert not (tmp_path / "out").exists()


def test_an_image_that_needs_more_than_there_is_says_what_it_needs(engine, tasks):
    assert "raise --memory" in run(engine, tasks, memory=200_000)[tasks[-1]].error


def test_little_memory_makes_images_wait_but_not_fail(tmp_path):
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    experts = [one | {"memory": 100.0} for one in experts]
    engine = Engine(write_upscaler(tmp_path / "b", experts=experts), "cpu", threads=1)
    write(tmp_path / "a.png", Image(np.full((40, 40, 3), 0.5, np.float32)))
    tasks = [Task(tmp_path / "a.png", tmp_path / f"out{n}.png") for n in range(6)]
    one = sink_memory(tasks[0].target, 80, 80, Header(80, 80)) + 2**20
    outcomes = run(engine, tasks, workers=6, memory=one * 3 // 2)
    assert [outcome.status for outcome in outcomes.values()] == ["done"] * 6


def test_progress_rises(engine, tasks):
    shares = []
    run(engine, tasks, workers=1, watch=shares.append)
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_who_leaves_early_leaves_no_half_written_file(engine, tasks):
    outcomes = upscale_files(engine, tasks, Settings(None, None, ROOMY, 2))
    next(outcomes)
    outcomes.close()
    written = sorted(tasks[0].target.parent.iterdir())
    assert len(written) < len(tasks)
    assert all(path.suffix == ".png" and read(path).rgb.size for path in written)


def test_a_map_of_a_large_picture_is_painted_over_the_source(tmp_path, engine, monkeypatch):
    monkeypatch.setattr("mmsr_core.runtime.files.one.MAP_PIXELS", 1000)
    write(tmp_path / "a.png", Image(np.zeros((40, 60, 3), np.float32)))
    run(engine, [Task(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "map.png")])
    assert read(tmp_path / "map.png").rgb.shape[1] == 60


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_alpha_is_resized_beside_the_colour(tmp_path, engine, suffix):
    alpha = np.random.default_rng(0).random((370, 11), np.float32)
    write(tmp_path / f"a{suffix}", Image(np.full((370, 11, 3), 0.5, np.float32), alpha, bits=16))
    run(engine, [Task(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")])
    whole = resize(alpha, 740, 22).clip(0, 1)
    np.testing.assert_allclose(read(tmp_path / f"b{suffix}").alpha, whole, atol=1e-4)


@pytest.mark.parametrize("name", ["grey.png", "alpha.png", "deep.png", "flat.jpg"])
def test_rows_become_the_file_that_the_whole_would(tmp_path, name):
    graphs = {"dear.onnx": nearest(), "cheap.onnx": nearest()}
    engine = Engine(write_upscaler(tmp_path / "b", graphs), "cpu")
    rgb = np.random.default_rng(0).random((90, 30, 3), np.float32)
    alpha = np.ones((90, 30), np.float32) if name == "alpha.png" else None
    grey = name == "grey.png"
    pixels = rgb.mean(2, keepdims=True).repeat(3, 2) if grey else rgb
    image = Image(pixels, alpha, 16 if name == "deep.png" else 8, grey)
    write(tmp_path / f"in-{name}.png", image)
    source = read(tmp_path / f"in-{name}.png")
    run(engine, [Task(tmp_path / f"in-{name}.png", tmp_path / name)])
    pixels = engine.upscale(source.rgb).pixels
    whole = Image(pixels, None if alpha is None else np.ones((180, 60), "f"), source.bits, grey)
    write(tmp_path / f"whole-{name}", whole)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


@pytest.mark.parametrize(
    ("images", "cores", "jobs", "expected"),
    [
        (1, 8, None, (1, 8)),
        (3, 8, None, (3, 2)),
        (100, 2, None, (2, 1)),
        (2, 1, None, (1, 1)),
        (100, 8, 2, (2, 4)),
        (100, 2, 4, (4, 1)),
    ],
)
def test_cores_go_to_images_first_and_then_to_threads(images, cores, jobs, expected):
    assert workers_for(images, cores, jobs) == expected


def test_an_error_that_nobody_foresaw_stops_no_other(tasks):
    def upscale(task, progress):
        if task is tasks[3]:
            raise ZeroDivisionError("by zero")
        return {}

    found = dict(each_file(upscale, tasks, 2))
    line = "internal error, please report it: ZeroDivisionError: by zero"
    assert found[tasks[3]].error == line
    assert "in upscale" in found[tasks[3]].trace
    assert [one.status for one in found.values()].count("done") == 11


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError(), "out of memory; lower --jobs or --memory"),
    ],
)
def test_what_a_machine_runs_out_of_is_one_line(tasks, error, line):
    def upscale(task, progress):
        raise error

    ((_, outcome),) = each_file(upscale, tasks[:1], 1)
    assert (outcome.status, outcome.error, outcome.trace) == ("failed", line, "")


@pytest.fixture
def stalled(tasks, monkeypatch):
    """stalled(task, progress) hangs at the first task until the test is over."""
    monkeypatch.setattr("mmsr_core.runtime.files.many.STALL", 0.3)
    monkeypatch.setattr("mmsr_core.runtime.files.many.GRACE", 0.2)
    free = threading.Event()

    def upscale(task, progress):
        if task is tasks[0]:
            free.wait(20)
        return {}

    upscale.free = free
    yield upscale
    free.set()


def test_a_file_that_hangs_stops_no_other_and_is_named_once(tasks, stalled):
    said = []
    outcomes = each_file(stalled, tasks, 2, notice=said.append)
    assert {next(outcomes)[0] for _ in range(11)} == set(tasks[1:])
    free = threading.Timer(0.6, stalled.free.set)
    free.start()
    assert [task for task, _ in outcomes] == tasks[:1]
    assert said == [f"{tasks[0].source}: no progress for 0 s; still waiting for it"]


def test_a_batch_is_left_in_time_although_a_file_hangs(tasks, stalled):
    outcomes = each_file(stalled, tasks, 2)
    next(outcomes)
    started = time.monotonic()
    with pytest.raises(Stuck):
        outcomes.close()
    assert time.monotonic() - started < 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is resident")
def test_memory_stays_flat_over_many_images(engine, tasks, tmp_path):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for task in tasks:
        write(task.source, Image(np.full((30, 40, 3), 0.5, np.float32)))
    many = [Task(tasks[n % 12].source, tmp_path / f"out/{n}.png") for n in range(500)]
    seen = []
    for _, outcome in upscale_files(engine, many, Settings(None, None, ROOMY, 2)):
        assert outcome.status == "done"
        seen.append(resident())
    assert max(seen[-50:]) - max(seen[100:150]) < 350 * 20 * 1024
