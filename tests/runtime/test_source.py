"""Images that come strip by strip: the answer is that to the same array."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from graphs import expert, network, router, write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bands import dotted
from test_engine import noise

from mmsr_core.errors import ImageError
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.session import Device
from mmsr_core.runtime.source import STRIP, Held, Window
from mmsr_core.runtime.tiles import Box


@dataclass
class Streamed:
    """An array that pretends to be a file; it writes down how it was read."""

    pixels: np.ndarray
    passes: list[int] = field(default_factory=list)
    """The strips that each pass gave."""

    @property
    def height(self):
        return self.pixels.shape[0]

    @property
    def width(self):
        return self.pixels.shape[1]

    def strips(self, rows):
        self.passes.append(0)
        for top in range(0, self.height, rows):
            self.passes[-1] += 1
            yield self.pixels[top : top + rows].copy()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(write_upscaler(tmp_path_factory.mktemp("sources") / "tiny"), "cpu")


@settings(max_examples=30)
@given(
    st.integers(1, 300),
    st.integers(1, 60),
    st.integers(0, 99),
    st.sampled_from([None, 0.0, 1.0]),
    st.sampled_from([0, 100_000, 2**34]),
)
def test_a_source_and_the_same_array_give_the_same_bits(
    engine, height, width, seed, effort, memory
):
    image = dotted(height, width, seed)
    bands = engine.bands(Streamed(image), effort, memory=memory)
    pixels = engine.upscale(image, effort, memory=memory).pixels
    np.testing.assert_array_equal(np.concatenate(list(bands.rows)), pixels)
    assert (bands.height, bands.width) == pixels.shape[:2]


def test_buckets_that_reach_back_find_their_rows(engine, monkeypatch):
    monkeypatch.setattr(Device, "is_gpu", True)
    image = dotted(260, 40, 1)
    bands = engine.bands(Streamed(image), memory=0)
    np.testing.assert_array_equal(
        np.concatenate(list(bands.rows)), engine.upscale(image, memory=0).pixels
    )


def test_a_source_is_passed_over_twice(engine):
    source = Streamed(dotted(300, 20, 0))
    list(engine.bands(source).rows)
    assert len(source.passes) == 2


def test_without_a_question_for_the_router_a_source_is_passed_over_once(engine):
    source = Streamed(dotted(300, 20, 0))
    list(engine.bands(source, effort=1.0).rows)
    assert len(source.passes) == 1


def test_rows_are_read_when_they_are_needed(engine):
    source = Streamed(dotted(10 * STRIP, 20, 0))
    rows = engine.bands(source, effort=1.0, memory=0).rows
    next(rows)
    assert source.passes == [1]
    list(rows)
    assert source.passes == [10]


def test_images_together_may_be_sources(engine):
    images = [dotted(100, 30, 1), noise(20, 30), noise(1, 1)]
    found = engine.upscale_all([Streamed(image) for image in images])
    for image, result in zip(images, found, strict=True):
        np.testing.assert_array_equal(result.pixels, engine.upscale(image).pixels)


def test_whoever_wants_to_stop_can_while_the_router_reads(engine):
    def stop(share):
        raise InterruptedError

    source = Streamed(dotted(3000, 600, 0))
    with pytest.raises(InterruptedError):
        engine.bands(source, progress=stop)
    assert source.passes == [1]


def test_whoever_wants_to_stop_can_while_it_is_planned(engine):
    told = []
    engine.bands(noise(8 * 40, 8 * 40), 1.0, progress=told.append, memory=0)
    assert told == [0.0] * 40 * 40


def test_a_source_that_ends_early_is_an_error(engine):
    class Short(Streamed):
        height = 200

    with pytest.raises(ImageError, match="the image ends after 150 of 200 rows"):
        list(engine.bands(Short(noise(150, 20)), effort=1.0).rows)


@given(st.integers(1, 400), st.lists(st.integers(0, 400), min_size=2, max_size=9))
def test_a_window_holds_what_was_asked_for_and_little_more(height, edges):
    image = np.random.default_rng(0).random((height, 5, 3), np.float32)
    window = Window(Streamed(image))
    tops = sorted(min(edge, height - 1) for edge in edges)
    for top in tops:
        bottom = min(height, top + 30)
        window.move(top, bottom)
        cut = window.cut(Box(top, bottom, 1, 4))
        np.testing.assert_array_equal(cut, image[top:bottom, 1:4])
        assert window.rows <= 30 + 2 * STRIP


def test_a_window_of_what_is_in_memory_copies_nothing():
    image = noise(300, 20)
    window = Window(Held(image))
    window.move(100, 250)
    assert np.shares_memory(window.cut(Box(100, 250, 0, 20)), image)


def test_the_router_reads_a_strip_of_whole_cells_at_a_time(tmp_path):
    graphs = {"router.onnx": router([0.0, 0.0], [0.0, 1.0]), "dear.onnx": network()}
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    engine = Engine(write_upscaler(tmp_path / "b", graphs, experts=experts), "cpu")
    source = Streamed(noise(8 * 10, 8 * 512))
    engine.bands(source, 0.5)
    assert source.passes == [5]
