from itertools import pairwise

import numpy as np
import pytest
from graphs import expert, nearest, write_upscaler

from mmsr_core.errors import ImageError
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.files import Settings, Task, _alpha_rows, upscale_files, workers_for
from mmsr_core.runtime.image import Image, read, resize, write

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
    return [Task(path, tmp_path / "out" / path.name) for path in sources]


def run(engine, tasks, workers=3, memory=ROOMY, watch=lambda share: None):
    return list(upscale_files(engine, tasks, Settings(None, None, memory, workers), watch))


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


def test_outcomes_come_in_order_with_their_facts(engine, tasks):
    found = run(engine, tasks)
    assert [task for task, _ in found] == tasks
    assert [facts["size"] for _, facts in found] == [[40, 10 + 7 * n] for n in range(12)]


def test_the_stages_are_those_from_file_to_file(engine, tasks):
    ((_, facts),) = run(engine, tasks[-1:])
    assert facts["stages"].keys() == {"decode", "route", "plan", "experts", "stitch", "encode"}


def test_a_bad_file_stops_no_other(engine, tasks):
    tasks[3].source.write_bytes(b"not an image")
    outcomes = [outcome for _, outcome in run(engine, tasks)]
    assert isinstance(outcomes[3], ImageError)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 11


def test_an_image_that_needs_more_than_there_is_says_what_it_needs(engine, tasks):
    outcomes = [outcome for _, outcome in run(engine, tasks, memory=200_000)]
    assert "raise --memory" in str(outcomes[-1])


def test_little_memory_makes_images_wait_but_not_fail(tmp_path):
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    experts = [one | {"memory": 100.0} for one in experts]
    engine = Engine(write_upscaler(tmp_path / "b", experts=experts), "cpu", threads=1)
    write(tmp_path / "a.png", Image(np.full((40, 40, 3), 0.5, np.float32)))
    tasks = [Task(tmp_path / "a.png", tmp_path / f"out{n}.png") for n in range(6)]
    outcomes = run(engine, tasks, workers=6, memory=450_000)
    assert all(isinstance(outcome, dict) for _, outcome in outcomes)


def test_progress_rises(engine, tasks):
    shares = []
    run(engine, tasks, watch=shares.append)
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
    monkeypatch.setattr("mmsr_core.runtime.files.MAP_PIXELS", 1000)
    write(tmp_path / "a.png", Image(np.zeros((40, 60, 3), np.float32)))
    run(engine, [Task(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "map.png")])
    assert read(tmp_path / "map.png").rgb.shape[1] == 60


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_alpha_resized_by_rows_is_alpha_resized(scale):
    alpha = np.random.default_rng(0).random((37, 11), np.float32)
    whole = resize(alpha, 37 * scale, 11 * scale).clip(0, 1)
    cuts = [0, 5, 64, 70, 37 * scale]
    rows = [_alpha_rows(alpha, scale, top, bottom) for top, bottom in pairwise(cuts)]
    np.testing.assert_allclose(np.concatenate(rows), whole, atol=1e-5)


@pytest.mark.parametrize("name", ["grey.png", "alpha.png", "deep.png", "flat.jpg"])
def test_rows_become_the_file_that_the_whole_would(tmp_path, name):
    graphs = {"dear.onnx": nearest(), "cheap.onnx": nearest()}
    engine = Engine(write_upscaler(tmp_path / "b", graphs), "cpu")
    rgb = np.random.default_rng(0).random((90, 30, 3), np.float32)
    alpha = np.ones((90, 30), np.float32) if name == "alpha.png" else None
    grey = name == "grey.png"
    image = Image(rgb.mean(2, keepdims=True).repeat(3, 2) if grey else rgb, alpha, 8, grey)
    image = Image(image.rgb, alpha, 16 if name == "deep.png" else 8, grey)
    write(tmp_path / f"in-{name}.png", image)
    source = read(tmp_path / f"in-{name}.png")
    run(engine, [Task(tmp_path / f"in-{name}.png", tmp_path / name)])
    pixels = engine.upscale(source.rgb).pixels
    whole = Image(pixels, None if alpha is None else np.ones((180, 60), "f"), source.bits, grey)
    write(tmp_path / f"whole-{name}", whole)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


@pytest.mark.parametrize(
    ("images", "cores", "expected"),
    [(1, 8, (1, 8)), (3, 8, (3, 2)), (100, 2, (2, 1)), (2, 1, (1, 1))],
)
def test_cores_go_to_images_first_and_then_to_threads(images, cores, expected):
    assert workers_for(images, cores) == expected
