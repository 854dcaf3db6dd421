"""Engines one after the other, and the resampling that reaches a size."""

import numpy as np
import pytest
from graphs import expert, nearest, network, write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.errors import ImageError
from mmsr_core.runtime import resample, spool
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.image import resize
from mmsr_core.runtime.sizes import Size
from mmsr_core.runtime.source import Held


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A ×4 and a ×2 bundle."""
    folder = tmp_path_factory.mktemp("chain")
    fourfold = {"cheap.onnx": nearest(4), "dear.onnx": network(1, 4)}
    measured = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    facts = {"experts": [one | {"memory": 100.0} for one in measured]}
    four = write_upscaler(folder / "x4", fourfold, name="tiny-x4", scale=4, **facts)
    return Engine(four, "cpu", 1), Engine(write_upscaler(folder / "x2", **facts), "cpu", 1)


def noise(height, width, seed=0):
    image = np.random.default_rng(seed).random((height, width, 3), np.float32)
    image[:, : width // 2] *= 0.01
    return image


def whole(upscaler, image, **options):
    bands = upscaler.bands(image, **options)
    pixels = np.concatenate(list(bands.rows))
    assert pixels.shape == (bands.height, bands.width, 3)
    return pixels


def clipped16(pixels):
    return np.rint(pixels.clip(0, 1) * 65535).astype(np.float32) / 65535


def test_a_plain_request_is_the_engines_own_answer_to_the_bit(engines):
    image = noise(30, 40)
    bands = Upscaler(engines).bands(image)
    expected = engines[0].upscale(image)
    np.testing.assert_array_equal(np.concatenate(list(bands.rows)), expected.pixels)
    assert bands.macs == expected.macs


@pytest.mark.parametrize(("factor", "first"), [(4, 0), (2, 1)])
def test_a_scale_that_a_model_has_is_its_own_answer_to_the_bit(engines, factor, first):
    image = noise(30, 40)
    found = whole(Upscaler(engines, Size(factor=factor)), image)
    np.testing.assert_array_equal(found, engines[first].upscale(image).pixels)


@pytest.mark.parametrize(("factor", "first"), [(1.5, 1), (3, 0), (6.5, 0)])
def test_other_factors_are_the_nearest_models_answer_resampled(engines, factor, first):
    image = noise(30, 40)
    found = whole(Upscaler(engines, Size(factor=factor)), image)
    target = round(30 * factor), round(40 * factor)
    expected = resize(engines[first].upscale(image).pixels, *target)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_large_factors_take_a_second_pass(engines):
    image = noise(12, 15)
    found = whole(Upscaler(engines, Size(factor=10)), image)
    between = clipped16(engines[0].upscale(image).pixels)
    expected = resize(engines[1].upscale(between).pixels, 120, 150)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_both_passes_count(engines):
    image = noise(12, 15)
    bands = Upscaler(engines, Size(factor=9)).bands(image)
    for _ in bands.rows:
        pass
    first = engines[0].upscale(image)
    second = engines[1].upscale(clipped16(first.pixels))
    assert bands.macs == first.macs + second.macs
    assert bands.seconds.keys() == first.seconds.keys() | second.seconds.keys()
    np.testing.assert_array_equal(bands.plan.routes, first.plan.routes)


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(1, 20))
def test_every_size_of_every_image_is_met(engines, height, width, factor):
    upscaler = Upscaler(engines, Size(factor=factor))
    pixels = whole(upscaler, noise(height, width))
    assert pixels.shape[:2] == upscaler.target(height, width)


def test_a_source_gives_what_its_array_gives(engines):
    image = noise(50, 40)
    upscaler = Upscaler(engines, Size(width=90))
    np.testing.assert_array_equal(whole(upscaler, Held(image)), whole(upscaler, image))


def test_a_pass_on_disk_changes_no_bit(engines, monkeypatch):
    image = noise(20, 30)
    upscaler = Upscaler(engines, Size(factor=9))
    in_memory = whole(upscaler, image)
    monkeypatch.setattr(spool, "HOLD", 0)
    np.testing.assert_array_equal(whole(upscaler, image), in_memory)


@pytest.mark.parametrize("factor", [1.5, 4, 9])
def test_progress_rises_to_all_of_the_work(engines, factor):
    shares = []
    whole(Upscaler(engines, Size(factor=factor)), noise(40, 30), effort=1.0, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_what_progress_raises_ends_either_pass(engines):
    class Enough(Exception):
        pass

    for limit in (0.001, 0.5):

        def tell(share, limit=limit):
            if share > limit:
                raise Enough

        with pytest.raises(Enough):
            whole(Upscaler(engines, Size(factor=9)), noise(40, 30), progress=tell)


def test_an_image_larger_than_the_size_is_refused_before_any_work(engines):
    with pytest.raises(ImageError, match="40x30 is larger than"):
        Upscaler(engines, Size(width=20)).bands(noise(30, 40))


def test_the_engines_memory_is_what_a_plain_request_needs(engines):
    found = Upscaler(engines).memory_needed(300, 400, memory=2**30)
    assert found == engines[0].memory_needed(300, 400, memory=2**30)


def test_a_second_pass_needs_memory_for_what_the_first_one_made(engines):
    upscaler = Upscaler(engines, Size(factor=9))
    beside = spool.memory_needed(1200, 1600) + resample.memory_needed(3200, 3600)
    second = engines[1].memory_needed(1200, 1600, memory=2**30 - beside)
    assert upscaler.memory_needed(300, 400, memory=2**30) == beside + second


def test_images_of_one_batch_take_the_models_that_they_need(engines):
    upscaler = Upscaler(engines, Size(width=120))
    scales = [[one.manifest.scale for one in upscaler.passes(10, width)] for width in (80, 40, 8)]
    assert scales == [[2], [4], [4, 2]]


def test_the_classes_of_a_plan_are_those_of_the_model_that_ran(engines, tmp_path):
    routes = {"EASY": {"experts": ["cheap"]}, "HARD": {"experts": ["dear"]}}
    named = write_upscaler(tmp_path / "b", classes=["EASY", "HARD"], routes=routes)
    upscaler = Upscaler((engines[0], Engine(named, "cpu", 1)), Size(width=60))
    found = [upscaler.bands(noise(30, width)).classes for width in (40, 20)]
    assert found == [("EASY", "HARD"), ("SIMPLE", "COMPLEX")]
