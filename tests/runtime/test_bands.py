"""An image whose rows come as they are finished."""

import numpy as np
import pytest
from graphs import expert, network, write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import FUSED, FUSED_GRAPHS, halves, noise

from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.experts import Experts
from mmsr_core.runtime.session import Device

ROOMY = 2**34


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A bundle whose halo covers its experts, which are measured to hold next to nothing."""
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    experts = [one | {"memory": 100.0} for one in experts]
    return Engine(write_upscaler(tmp_path_factory.mktemp("b") / "tiny", experts=experts), "cpu")


@pytest.fixture(scope="module")
def one_expert(tmp_path_factory):
    """Both routes run the same network, so that what is planned where changes nothing."""
    graphs = {"cheap.onnx": network(), "dear.onnx": network()}
    return Engine(write_upscaler(tmp_path_factory.mktemp("one") / "one", graphs), "cpu")


def dotted(height, width, seed):
    """Noise with dark cells, for plans with regions of both routes."""
    image = noise(height, width, seed)
    dark = np.random.default_rng(seed).random((-(-height // 8), -(-width // 8))) < 0.5
    image[dark.repeat(8, 0).repeat(8, 1)[:height, :width]] = 0
    return image


@settings(max_examples=25)
@given(st.integers(1, 300), st.integers(1, 60), st.integers(0, 99), st.sampled_from([None, 0, 8]))
def test_the_bands_together_are_the_whole(engine, height, width, seed, overlap):
    image = dotted(height, width, seed)
    bands = engine.bands(image, overlap=overlap, memory=ROOMY)
    rows = list(bands.rows)
    pixels = engine.upscale(image, overlap=overlap, memory=ROOMY).pixels
    np.testing.assert_array_equal(np.concatenate(rows), pixels)
    assert (bands.height, bands.width) == pixels.shape[:2]


@settings(max_examples=25)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 99), st.integers(0, 10**7))
def test_memory_changes_no_pixel_where_the_halo_covers_the_experts(
    one_expert, height, width, seed, memory
):
    image = dotted(height, width, seed)
    found = one_expert.upscale(image, memory=memory).pixels
    np.testing.assert_allclose(found, one_expert.run_expert("dear", image), atol=1e-5)


def test_less_memory_plans_smaller_blocks(engine):
    regions = [
        len(engine.upscale(noise(130, 130), 1.0, memory=memory).plan.regions)
        for memory in (ROOMY, 600_000, 0)
    ]
    assert regions[0] == 4 < regions[1] < regions[2] == 17 * 17


def test_rows_are_out_before_all_the_work_is_done(engine):
    shares = []
    bands = engine.bands(noise(300, 20), 1.0, progress=shares.append)
    next(bands.rows)
    assert 0 < shares[-1] < 0.6
    assert sum(len(rows) for rows in bands.rows) < bands.height
    assert shares[-1] == pytest.approx(1.0)


def test_a_tall_image_is_not_held_at_once(engine):
    image = np.zeros((4000, 16, 3), np.float32)
    work = engine._begin(image, engine._request(1.0, None, lambda share: None, ROOMY))
    assert work.canvas._held.shape[1] == 2 * 128 + 2 * 2


def test_images_together_are_the_images_alone_to_the_bit_on_a_cpu(engine):
    images = [halves(), noise(20, 30), dotted(200, 30, 1), noise(1, 1)]
    for image, result in zip(images, engine.upscale_all(images), strict=True):
        np.testing.assert_array_equal(result.pixels, engine.upscale(image).pixels)


def test_fused_routes_wait_for_each_other_across_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(Device, "batch_pixels", 2**20)
    engine = Engine(write_upscaler(tmp_path / "b", FUSED_GRAPHS, **FUSED), "cpu")
    images = [np.full((300, 20, 3), value, np.float32) for value in (0.1, 0.2)]
    for result, value in zip(engine.upscale_all(images), (0.1, 0.2), strict=True):
        np.testing.assert_allclose(result.pixels, value / 2, atol=1e-6)


def test_few_answers_wait_to_be_fused(tmp_path, monkeypatch):
    engine = Engine(write_upscaler(tmp_path / "b", FUSED_GRAPHS, **FUSED), "cpu")
    names, run = [], Experts.run
    monkeypatch.setattr(Experts, "run", lambda self, *job: names.append(job[0]) or run(self, *job))
    bands = engine.bands(np.full((8, 8 * 40, 3), 0.1, np.float32), memory=0)
    list(bands.rows)
    assert names == ["bright", "dark"] * 40


def test_bucketed_tiles_change_nothing_inside(one_expert, monkeypatch):
    monkeypatch.setattr(Device, "is_gpu", True)
    image = dotted(100, 90, 3)
    found = one_expert.upscale(image).pixels
    plain = one_expert.run_expert("dear", image)
    np.testing.assert_allclose(found[:-8, :-8], plain[:-8, :-8], atol=1e-5)


def test_threads_share_one_engine(engine):
    from concurrent.futures import ThreadPoolExecutor

    images = [dotted(60, 60, seed) for seed in range(8)]
    alone = [engine.upscale(image).pixels for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(engine.upscale, images), alone, strict=True):
            np.testing.assert_array_equal(found.pixels, expected)
