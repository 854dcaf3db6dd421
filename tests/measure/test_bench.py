"""A benchmark of a bundle whose experts are a nearest neighbour and a network."""

import json
import math

import cv2
import numpy as np
import pytest
from graphs import write_upscaler

from mmsr_core.errors import BundleError, ImageError, MmsrError
from mmsr_core.measure.bench import footprint
from mmsr_core.measure.bench.bench import Ask, bench
from mmsr_core.measure.bench.contenders import Contender, others, own
from mmsr_core.measure.bench.lap import run_lap
from mmsr_core.measure.bench.race import Race, Shot
from mmsr_core.measure.evaluate import Answer
from mmsr_core.measure.metrics import psnr_y
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.image import Image, degrade, read, write

SIZES = ((64, 96), (48, 64))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Black on the left, coarse noise on the right."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, (height, width) in enumerate(SIZES):
        coarse = np.random.default_rng(seed).random((height // 4, width // 4, 3), np.float32)
        coarse[:, : width // 8] = 0
        write(folder / f"{seed}.png", Image(coarse.repeat(4, 0).repeat(4, 1)))
    return folder


@pytest.fixture(scope="module")
def engine(upscaler):
    return Engine.open(upscaler, "cpu")


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def found(upscaler, photos, told):
    ask = Ask(upscaler, photos, "cpu", efforts=(0.5, 1.0), repeats=2)
    return bench(ask, lambda *step: told.append(step))


def test_the_experts_come_first_then_the_efforts(found):
    assert [one.name for one in found.standings] == ["cheap", "dear", "routed", "routed@1"]


def test_the_models_own_effort_is_not_run_twice(engine, upscaler):
    names = [one.name for one in own(engine.manifest, upscaler, "cpu", (0.0, 0.5, 0.75))]
    assert names == ["cheap", "dear", "routed@0", "routed", "routed@0.75"]


def test_the_deepest_expert_loses_nothing_in_all_of_the_time(found):
    dear = found.standing("dear")
    assert found.deepest == "dear"
    assert (dear.lost, dear.worst) == (0, 0)
    assert (dear.time, dear.slowest, dear.upscaling) == (1, 1, 1)


def test_quality_is_that_of_the_written_file(found, engine, photos):
    expected = []
    for path in sorted(photos.iterdir()):
        hr, lr = degrade(read(path).rgb, 2)
        expected.append(psnr_y(engine.run_expert("cheap", lr), hr, 2))
    assert found.standing("cheap").psnr_y == pytest.approx(np.mean(expected))


def test_what_is_lost_is_the_mean_and_the_worst_over_the_images(found):
    rows = [photo.rows for photo in found.per_image]
    lost = [row["dear"]["psnr_y"] - row["cheap"]["psnr_y"] for row in rows]
    assert found.standing("cheap").lost == pytest.approx(np.mean(lost))
    assert found.standing("cheap").worst == pytest.approx(max(lost))


def test_effort_one_runs_the_deepest_expert_everywhere(found):
    assert found.standing("routed@1").lost == pytest.approx(0, abs=0.01)
    routing = next(one for one in found.routings if one.name == "routed@1")
    assert routing.classes == {"SIMPLE": 0, "COMPLEX": 1}
    assert (routing.cost, routing.overlap) == (pytest.approx(1), 0)


def test_the_shares_of_the_stages_sum_to_one(found):
    for one in found.standings:
        assert sum(one.stages.values()) == pytest.approx(1)
        assert one.stages["encode"] > 0
    assert found.standing("routed").stages["stitch"] > 0


def test_speeds_count_the_pixels_of_all_images(found):
    dear = found.standing("dear")
    out = sum(height * width for height, width in SIZES) / 1e6
    assert dear.megapixels_out == pytest.approx(out / dear.seconds)
    assert dear.megapixels_in == pytest.approx(dear.megapixels_out / 4)
    assert found.megapixels == (pytest.approx(out / 4), pytest.approx(out))


def test_every_contender_has_its_own_peak_memory(found):
    peaks = {one.name: one.peak for one in found.standings}
    assert all(peak is None or 2**24 < peak < 2**32 for peak in peaks.values())
    assert all(one.first > 0 for one in found.standings)


def test_the_overlap_is_what_the_plans_compute_too_much(found, engine, photos):
    computed = pixels = 0
    for path in photos.iterdir():
        plan = engine.upscale(degrade(read(path).rgb, 2)[1]).plan
        computed += plan.pixels().sum()
        pixels += plan.grid.height * plan.grid.width
    routing = next(one for one in found.routings if one.name == "routed")
    assert routing.overlap == pytest.approx(computed / pixels - 1)
    assert routing.overlap > 0


def test_the_oracles_frontier_falls_as_time_rises(found):
    times, losses = zip(*found.frontier, strict=True)
    assert list(times) == sorted(times)
    assert list(losses) == sorted(losses, reverse=True)


def test_the_oracle_is_as_good_as_the_plans_and_no_dearer(found):
    for routing in found.routings:
        assert routing.oracle <= routing.cost + 1e-9
        assert routing.kept is None or routing.kept <= 1 + 1e-9


def test_progress_names_the_stages_and_ends_each(told, found):
    ends = {what: (done, total) for what, done, total in told}
    count = len(found.standings)
    assert list(ends) == ["LR files", "memory", "rounds", "oracle"]
    assert ends == {
        "LR files": (2, 2),
        "memory": (count, count),
        "rounds": (2 * 2 * count, 2 * 2 * count),
        "oracle": (2, 2),
    }


def test_the_json_is_finite_and_has_a_row_per_image_and_contender(found):
    text = json.dumps(found.as_json(), allow_nan=False)
    facts = json.loads(text)
    names = {one["name"] for one in facts["contenders"]}
    assert [photo["file"] for photo in facts["per_image"]] == ["0.png", "1.png"]
    assert all(photo["rows"].keys() == names for photo in facts["per_image"])
    assert facts["machine"].keys() >= {"cpu", "cores", "versions", "providers"}


@pytest.fixture(scope="module")
def black(upscaler, tmp_path_factory):
    """One round of the first of two images: black, which the nearest neighbour answers exactly."""
    folder = tmp_path_factory.mktemp("black")
    for name, value in (("a.png", 0), ("b.png", 1)):
        write(folder / name, Image(np.full((64, 64, 3), value, np.float32)))
    return bench(Ask(upscaler, folder, "cpu", efforts=(), repeats=1, limit=1))


def test_a_limit_takes_the_first_images(black):
    assert [photo.file for photo in black.per_image] == ["a.png"]


def test_one_round_has_no_spread(black, found):
    assert black.spread is None
    assert found.spread > 0


def test_a_perfect_answer_counts_as_a_hundred_decibels(black):
    assert black.standing("cheap").psnr_y == math.inf
    assert black.standing("cheap").lost == black.standing("dear").psnr_y - 100
    assert black.as_json()["contenders"][0]["psnr_y"] is None


class Slow:
    """A way to upscale that notes when it runs."""

    def __init__(self, name, order):
        self.name, self.order = name, order

    def __call__(self, lr):
        self.order.append(self.name)
        return Answer(lr.repeat(2, 0).repeat(2, 1), 0.0)


def test_the_first_of_a_round_moves_on(engine, tmp_path, photos):
    entrants = [Contender(name, "peer", 2, "cpu") for name in "abc"]
    order = []
    race = Race(engine, entrants, {one.name: Slow(one.name, order) for one in entrants})
    race._hindsight.note = lambda *seen: None
    lr = tmp_path / "lr.png"
    write(lr, Image(degrade(read(photos / "0.png").rgb, 2)[1]))
    shot = Shot(photos / "0.png", "0.png", lr, *SIZES[0])
    race.run([shot, shot], tmp_path / "out.png", 2, lambda *step: None)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"


def test_a_laps_stages_sum_to_its_seconds(engine, tmp_path):
    write(tmp_path / "lr.png", Image(np.full((24, 40, 3), 0.5, np.float32)))
    contender = Contender("routed", "routed", 2, "cpu", tmp_path)
    upscale = contender.open(lambda source: engine)
    lap, answer = run_lap(upscale, tmp_path / "lr.png", tmp_path / "out.png")
    assert sum(lap.stages.values()) == pytest.approx(lap.seconds, rel=0.01)
    assert 0 < lap.upscaling < lap.seconds
    assert read(tmp_path / "out.png").rgb.shape == answer.pixels.shape == (48, 80, 3)


def test_another_bundle_of_another_scale_is_refused(upscaler):
    with pytest.raises(BundleError, match=r"tiny-x2@1\.0\.0 upscales by 2, not by 4"):
        others([upscaler], 4, "cpu")


def test_another_bundle_twice_is_refused(upscaler):
    with pytest.raises(BundleError, match=r"tiny-x2@1\.0\.0 is there twice"):
        others([upscaler, upscaler], 2, "cpu")


def test_another_bundle_runs_its_deepest_expert(upscaler):
    (contender,) = others([upscaler], 2, "cpu")
    assert (contender.kind, contender.expert) == ("against", "dear")


def test_an_image_too_small_to_measure_is_refused(upscaler, tmp_path):
    write(tmp_path / "dot.png", Image(np.zeros((8, 40, 3), np.float32)))
    with pytest.raises(ImageError, match="too small to be measured"):
        bench(Ask(upscaler, tmp_path, "cpu"))


def test_a_contender_survives_json(upscaler):
    contender = Contender("routed@0", "routed", 2, "cpu", upscaler, effort=0.0)
    assert Contender.from_json(json.loads(json.dumps(contender.as_json()))) == contender


def test_what_a_user_can_mend_comes_back_from_the_other_process(tmp_path):
    write(tmp_path / "lr.png", Image(np.zeros((8, 8, 3), np.float32)))
    gone = Contender("dear", "expert", 2, "cpu", tmp_path / "gone", expert="dear")
    with pytest.raises(MmsrError, match=r"gone: not a bundle, it has no manifest\.json$"):
        footprint.measure(gone, tmp_path / "lr.png", tmp_path / "out.png")


def test_a_process_that_fails_says_why_in_one_line(tmp_path):
    write(tmp_path / "lr.png", Image(np.zeros((8, 8, 3), np.float32)))
    nobody = Contender("nobody", "peer", 2, "cpu")
    message = r"nobody: fails in a process of its own \(KeyError: 'nobody'\)$"
    with pytest.raises(MmsrError, match=message):
        footprint.measure(nobody, tmp_path / "lr.png", tmp_path / "out.png")


@pytest.mark.skipif(footprint.peak_memory() is None, reason="this system does not tell")
def test_the_peak_is_the_contenders_and_not_this_processs(tmp_path):
    ballast = np.ones(2**25, np.float64)  # a quarter of a GiB, which the other must not count
    assert footprint.peak_memory() > ballast.nbytes
    peer = Contender("opencv bicubic", "peer", 2, "cpu")
    peaks = []
    for side in (64, 800):
        write(tmp_path / "lr.png", Image(np.full((side, side, 3), 0.5, np.float32)))
        found = footprint.measure(peer, tmp_path / "lr.png", tmp_path / "out.png")
        assert cv2.imread(str(tmp_path / "out.png")).shape == (2 * side, 2 * side, 3)
        peaks.append(found.peak)
    assert peaks[0] < ballast.nbytes
    assert peaks[1] > peaks[0] + 1600 * 1600 * 3 * 4


def test_a_bundles_changed_file_is_refused(tmp_path, photos):
    bundle = write_upscaler(tmp_path / "tiny")
    (bundle.directory / "dear.onnx").write_bytes(b"?")
    with pytest.raises(BundleError, match="is not what the manifest promises"):
        bench(Ask(bundle.directory, photos, "cpu"))
