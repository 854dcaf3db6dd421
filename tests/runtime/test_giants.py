"""Images far larger than memory: what is held follows the width, and a bound, not the image."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from graphs import expert, write_upscaler

from mmsr_core.runtime import memory
from mmsr_core.runtime.engine import Engine

MIB = 2**20


@dataclass(frozen=True)
class Made:
    """A picture whose rows are made as they are asked for: stripes of noise and of black."""

    height: int
    width: int

    def strips(self, rows):
        rng = np.random.default_rng(0)
        for top in range(0, self.height, rows):
            strip = rng.random((min(rows, self.height - top), self.width, 3), np.float32)
            strip[:, : self.width // 2] = 0
            yield strip


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2)]
    experts = [one | {"memory": 100.0} for one in experts]
    folder = tmp_path_factory.mktemp("giants")
    return Engine(write_upscaler(folder / "tiny", experts=experts), "cpu")


def peak(engine, height, width, **options):
    """Most bytes that numpy and Python held while an image was upscaled and its rows dropped."""
    tracemalloc.start()
    try:
        bands = engine.bands(Made(height, width), **options)
        assert sum(len(rows) for rows in bands.rows) == 2 * height
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_taller_image_takes_no_more_memory(engine):
    low, tall = (peak(engine, height, 200) for height in (400, 2000))
    plan = 1000 * (2000 - 400) * 200 // 64 // 4  # what is known of regions and cells, and more
    assert tall < low + plan < 12 * 2000 * 200 * 4


def test_what_an_image_takes_is_what_was_said(engine):
    for height, width in ((200, 200), (200, 1000), (64, 4000)):
        said = engine.memory_needed(height, width, memory=2**34)
        assert peak(engine, height, width, memory=2**34) < said + 8 * MIB


def test_a_wide_image_is_planned_in_low_blocks(engine, monkeypatch):
    monkeypatch.setattr(memory, "ACROSS", 4 * MIB)
    low = peak(engine, 128, 3000, effort=1.0, memory=2**34)
    monkeypatch.undo()
    assert low < 12 * MIB < peak(engine, 128, 3000, effort=1.0, memory=2**34)


def test_a_bound_on_memory_is_kept_where_it_can_be(engine):
    assert engine.memory_needed(4000, 4000, memory=20 * MIB) <= 20 * MIB
    assert engine.memory_needed(4000, 4000, memory=0) > 0
