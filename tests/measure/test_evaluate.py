import math

import numpy as np
import pytest
from graphs import expert, nearest, write_upscaler

from mmsr_core.errors import BundleError, ImageError
from mmsr_core.measure.columns import Column
from mmsr_core.measure.evaluate import evaluate
from mmsr_core.measure.metrics import psnr_y
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.image import Image, degrade, read, resize, write


def photo(seed):
    """Black on the left, coarse noise on the right: 64×96 HR pixels."""
    coarse = np.random.default_rng(seed).random((16, 24, 3), np.float32)
    coarse[:, :12] = 0
    return coarse.repeat(4, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(2):
        write(folder / f"{seed}.png", Image(photo(seed)))
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(write_upscaler(tmp_path_factory.mktemp("models") / "tiny"), "cpu")


@pytest.fixture(scope="module")
def found(engine, photos):
    return evaluate(engine, photos, repeats=1)


def row(found, name):
    return next(row for row in found.rows if row.name == name)


def test_the_rows_are_bicubic_the_experts_and_routed(found):
    assert [row.name for row in found.rows] == ["bicubic", "cheap", "dear", "routed"]


def test_efforts_add_a_row_each(engine, photos):
    rows = evaluate(engine, photos, efforts=(0.0, 0.25), repeats=1).rows
    assert [row.name for row in rows[-3:]] == ["routed", "routed@0", "routed@0.25"]


def test_an_expert_named_bicubic_takes_the_bicubic_row(tmp_path, photos):
    routes = {"SIMPLE": {"experts": ["bicubic"]}, "COMPLEX": {"experts": ["dear"]}}
    experts = [expert("bicubic", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    graphs = {"bicubic.onnx": nearest()}
    bundle = write_upscaler(tmp_path / "b", graphs, routes=routes, experts=experts)
    rows = evaluate(Engine(bundle, "cpu"), photos, repeats=1).rows
    assert [row.name for row in rows] == ["bicubic", "dear", "routed"]
    assert rows[0].macs == 3.0 * 2 * 32 * 48


def test_the_shares_of_the_classes_sum_to_one(found):
    assert found.classes.keys() == {"SIMPLE", "COMPLEX"}
    assert sum(found.classes.values()) == pytest.approx(1)


def test_a_class_has_the_share_of_its_cells_over_all_images(engine, found, photos):
    routes = [
        engine.upscale(degrade(read(path).rgb, 2)[1]).plan.routes for path in photos.iterdir()
    ]
    share = np.mean([(plan == 0).mean() for plan in routes])
    assert found.classes["SIMPLE"] == pytest.approx(share)
    assert 0 < share < 1


def test_an_experts_macs_are_those_of_the_whole_image(found):
    assert row(found, "dear").macs == 500.0 * 2 * 32 * 48


def test_the_macs_of_routed_count_the_halo(engine, found, photos):
    expected = without_halo = 0.0
    for path in photos.iterdir():
        plan = engine.upscale(degrade(read(path).rgb, 2)[1]).plan
        for region in plan.regions:
            macs = (3.0, 500.0)[region.route]
            expected += macs * region.box.grown(2 + 1, 32, 48).area
            without_halo += macs * region.box.area
    assert row(found, "routed").macs == pytest.approx(expected)
    assert expected > without_halo


def test_bicubic_is_measured_on_luma_with_the_scale_shaved(found, photos):
    psnrs = []
    for path in photos.iterdir():
        hr, lr = degrade(read(path).rgb, 2)
        psnrs.append(psnr_y(resize(lr, *hr.shape[:2]), hr, 2))
    assert row(found, "bicubic").values["psnr_y"] == pytest.approx(np.mean(psnrs))


def test_every_row_is_timed(found):
    assert all(row.seconds > 0 for row in found.rows)
    assert {"route", "plan", "experts", "stitch"} <= found.stages.keys()


def test_progress_counts_the_images(engine, photos):
    told = []
    evaluate(engine, photos, repeats=1, progress=lambda *step: told.append(step))
    assert told == [("images", 1, 2), ("images", 2, 2)]


def test_an_image_too_small_to_measure_is_refused(engine, tmp_path):
    write(tmp_path / "dot.png", Image(np.zeros((8, 40, 3), np.float32)))
    with pytest.raises(ImageError, match=r"dot\.png: 40x8 is too small to be measured"):
        evaluate(engine, tmp_path)


def test_an_expert_named_as_another_row_gets_a_row_of_its_own(tmp_path, photos):
    routes = {"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["routed"]}}
    experts = [expert("cheap", 0.01, 3.0, 0), expert("routed", 1.0, 7.0, 2)]
    graphs = {"routed.onnx": nearest()}
    bundle = write_upscaler(tmp_path / "b", graphs, routes=routes, experts=experts)
    found = evaluate(Engine(bundle, "cpu"), photos, repeats=1)
    assert [row.name for row in found.rows] == ["bicubic", "cheap", "expert:routed", "routed"]
    assert found.deepest == "expert:routed"
    assert row(found, "expert:routed").macs == 7.0 * 2 * 32 * 48


def test_the_deepest_experts_row_is_named(found):
    assert found.deepest == "dear"


def test_another_bundle_is_its_deepest_expert_on_the_whole_image(tmp_path, engine, photos):
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 11.0, 0)]
    graphs = {"dear.onnx": nearest()}
    other = Engine(write_upscaler(tmp_path / "o", graphs, name="other", experts=experts), "cpu")
    found = evaluate(engine, photos, repeats=1, against=[other])
    rows = {row.name: row for row in found.rows}
    assert list(rows)[-1] == "other@1.0.0"
    assert rows["other@1.0.0"].kind == "against"
    assert rows["other@1.0.0"].values == rows["cheap"].values  # both are nearest neighbours
    assert rows["other@1.0.0"].macs == 11.0 * 2 * 32 * 48
    assert rows["other@1.0.0"].seconds > 0


def test_another_bundle_of_another_scale_is_refused(tmp_path, engine, photos):
    graphs = {"cheap.onnx": nearest(4), "dear.onnx": nearest(4)}
    other = Engine(write_upscaler(tmp_path / "o", graphs, name="wide", scale=4), "cpu")
    with pytest.raises(BundleError, match=r"wide@1\.0\.0 upscales by 4, not by 2"):
        evaluate(engine, photos, against=[other])


def test_another_bundle_twice_is_refused(engine, photos):
    with pytest.raises(BundleError, match=r"tiny-x2@1\.0\.0 is there twice"):
        evaluate(engine, photos, against=[engine, engine])


def width(sr, hr, border):
    return float(sr.shape[1]) if hr is not None else math.nan


def test_the_columns_asked_for_are_measured(engine, photos):
    found = evaluate(engine, photos, repeats=1, columns=[Column("width", "lower", width)])
    assert found.better == {"width": "lower"}
    assert {row.values["width"] for row in found.rows} == {96.0}


def test_every_image_has_its_own_figures(found, photos):
    assert [photo.file for photo in found.per_image] == ["0.png", "1.png"]
    assert {(photo.width, photo.height) for photo in found.per_image} == {(96, 64)}
    for name in ("dear", "routed"):
        values = [photo.rows[name] for photo in found.per_image]
        assert np.mean([v["psnr_y"] for v in values]) == row(found, name).values["psnr_y"]
        assert sum(v["seconds"] for v in values) == row(found, name).seconds


def test_an_image_is_named_by_its_place_in_the_folder(engine, tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep/a.png", Image(photo(0)))
    assert evaluate(engine, tmp_path, repeats=1).per_image[0].file == "deep/a.png"


def test_a_watch_sees_every_image_and_what_every_row_made_of_it(engine, photos):
    seen = []
    evaluate(engine, photos, repeats=1, watch=lambda *told: seen.append(told))
    assert len(seen) == 2
    lr, hr, answers = seen[0]
    assert (lr.shape, hr.shape) == ((32, 48, 3), (64, 96, 3))
    assert list(answers) == ["bicubic", "cheap", "dear", "routed"]
    assert np.array_equal(answers["dear"].pixels, engine.run_expert("dear", lr))
    assert answers["routed"].result.plan.routes.shape == (4, 6)
