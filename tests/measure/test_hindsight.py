"""The oracle of an evaluation, on a bundle whose experts are a nearest neighbour and a network."""

import numpy as np
import pytest
from graphs import expert, mean_fuser, nearest, network, write_upscaler

from mmsr_core.measure.evaluate import evaluate
from mmsr_core.measure.hindsight import Hindsight, cell_errors
from mmsr_core.measure.metrics import psnr_y
from mmsr_core.runtime.engine import Engine, plan_macs
from mmsr_core.runtime.image import Image, write
from mmsr_core.runtime.tiles import Grid


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Black on the left, coarse noise on the right: 64×96 HR pixels."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        coarse = np.random.default_rng(seed).random((16, 24, 3), np.float32)
        coarse[:, :12] = 0
        write(folder / f"{seed}.png", Image(coarse.repeat(4, 0).repeat(4, 1)))
    return folder


def judged(engine, photos):
    hindsight = Hindsight(engine)
    found = evaluate(engine, photos, repeats=1, watch=hindsight.watch)
    oracle = hindsight.oracle()
    return found, oracle, hindsight.row(found, oracle)


@pytest.mark.parametrize("shape", [(64, 96), (50, 70)])
def test_the_cells_errors_sum_to_the_error_behind_psnr(shape):
    rng = np.random.default_rng(0)
    hr, sr = rng.random((2, *shape, 3), np.float32)
    errors = cell_errors(sr, hr, 2, Grid(shape[0] // 2, shape[1] // 2, 8))
    assert -10 * np.log10(errors.sum()) == pytest.approx(psnr_y(sr, hr, 2))


def test_the_oracle_is_a_row_that_is_computed(tmp_path, photos):
    engine = Engine(write_upscaler(tmp_path / "tiny"), "cpu")
    found, oracle, row = judged(engine, photos)
    assert (row.name, row.kind) == ("oracle", "computed")
    assert row.values.keys() == found.better.keys()
    assert row.values["psnr_y"] >= found.row("routed").values["psnr_y"] - 0.1  # but for seams
    assert np.isnan(row.values["ssim_y"])
    assert row.seconds == pytest.approx(oracle.at_cost.cost * found.row("dear").seconds)
    spent = sum(plan_macs(plan, engine.manifest) for plan in oracle.at_cost.plans)
    assert row.macs == pytest.approx(spent)


def test_one_expert_everywhere_is_judged_at_its_measured_quality(tmp_path, photos):
    effort = {"default": 1.0, "prices": []}
    _, oracle, _ = judged(Engine(write_upscaler(tmp_path / "tiny", effort=effort), "cpu"), photos)
    assert (oracle.routed.lost, oracle.routed.cost) == (pytest.approx(0), pytest.approx(1))
    assert oracle.kept == pytest.approx(0)  # black cells need no network


def test_a_fused_route_is_judged_by_what_the_fuser_makes(tmp_path, photos):
    """A fuser of one kind of answer twice is that answer: the fused route is the cheap one."""
    facts = {
        "classes": ["FUSED", "DEAR"],
        "routes": {
            "FUSED": {"experts": ["cheap", "dim"], "fuser": "mean"},
            "DEAR": {"experts": ["dear"]},
        },
        "experts": [
            expert("cheap", 0.01, 3.0, 0),
            expert("dim", 0.01, 3.0, 0),
            expert("dear", 1.0, 500.0, 2),
        ],
        "fusers": {"mean": {"graph": "mean.onnx"}},
    }
    graphs = {"dim.onnx": nearest(gain=0.5), "mean.onnx": mean_fuser(), "dear.onnx": network()}
    engine = Engine(write_upscaler(tmp_path / "fused", graphs, **facts), "cpu")
    hindsight = Hindsight(engine)
    seen = []

    def watch(lr, hr, answers):
        hindsight.watch(lr, hr, answers)
        mixed = (answers["cheap"].pixels + answers["dim"].pixels) / 2
        seen.append((psnr_y(mixed, hr, 2), psnr_y(answers["dear"].pixels, hr, 2)))

    evaluate(engine, photos, repeats=1, watch=watch)
    measured = [-10 * np.log10(scene.errors.sum(axis=0)) for scene in hindsight.scenes]
    np.testing.assert_allclose(measured, seen, atol=0.01)
