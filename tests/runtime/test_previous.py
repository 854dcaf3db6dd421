"""What did not change since the last frame is taken over."""

import numpy as np
import pytest
from graphs import network, write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bands import dotted
from test_engine import halves, noise

from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.experts import Experts
from mmsr_core.runtime.previous import Previous
from mmsr_core.runtime.routemap import paint
from mmsr_core.runtime.router import Router
from mmsr_core.runtime.tiles import Grid

CELL = 8
sizes = st.integers(1, 90)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(write_upscaler(tmp_path_factory.mktemp("previous") / "tiny"), "cpu")


@pytest.fixture(scope="module")
def one_expert(tmp_path_factory):
    """Both routes run the same network, so that what is planned where changes nothing."""
    graphs = {"cheap.onnx": network(), "dear.onnx": network()}
    return Engine(write_upscaler(tmp_path_factory.mktemp("one") / "one", graphs), "cpu")


@pytest.fixture
def runs(monkeypatch):
    """Every run of an expert, as it happens."""
    seen, run = [], Experts.run

    def watched(self, name, tiles):
        seen.append(tiles.shape)
        return run(self, name, tiles)

    monkeypatch.setattr(Experts, "run", watched)
    return seen


def cells_of(height, width, value):
    grid = Grid(height, width, CELL)
    return np.full((grid.rows, grid.columns), value)


def same_cells(before, after):
    """The cells (rows,columns) in which two frames are the same."""
    same = cells_of(*after.shape[:2], True)
    for row, column in np.argwhere((before != after).any(2)):
        same[row // CELL, column // CELL] = False
    return same


def changed(image, seed, share):
    """The next frame: noise in some of the cells."""
    rng = np.random.default_rng(seed)
    cells = rng.random(cells_of(*image.shape[:2], True).shape) < share
    where = cells.repeat(CELL, 0).repeat(CELL, 1)[: image.shape[0], : image.shape[1]]
    return np.where(where[:, :, None], rng.random(image.shape, np.float32), image)


@settings(max_examples=20)
@given(sizes, sizes, st.integers(0, 99), st.sampled_from([None, 1.0]), st.sampled_from([0, 2**34]))
def test_a_frame_that_did_not_change_is_the_previous_answer_to_the_bit(
    engine, height, width, seed, effort, memory
):
    image = dotted(height, width, seed)
    last = noise(2 * height, 2 * width, seed)  # recognisable: nobody computes this
    previous = Previous(last, cells_of(height, width, True))
    result = engine.upscale(image, effort, memory=memory, previous=previous)
    np.testing.assert_array_equal(result.pixels, last)
    assert result.plan.cost == 0 == result.macs
    assert result.plan.reused.all()


def test_a_frame_that_did_not_change_runs_no_graph(engine, runs, monkeypatch):
    monkeypatch.setattr(Router, "scores", None)
    image = halves()
    engine.upscale(image, previous=Previous(noise(64, 128), cells_of(32, 64, True)))
    assert runs == []


@settings(max_examples=20)
@given(sizes, sizes, st.integers(0, 99))
def test_a_frame_that_changed_everywhere_is_answered_as_if_it_were_the_first(
    engine, height, width, seed
):
    image = dotted(height, width, seed)
    previous = Previous(noise(2 * height, 2 * width), cells_of(height, width, False))
    result = engine.upscale(image, previous=previous)
    np.testing.assert_array_equal(result.pixels, engine.upscale(image).pixels)
    assert not result.plan.reused.any()


@settings(max_examples=30)
@given(
    sizes,
    sizes,
    st.integers(0, 99),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.sampled_from([None, 0, 5]),
    st.sampled_from([0, 2**34]),
)
def test_with_one_expert_a_changed_frame_is_that_frame_computed_afresh(
    one_expert, height, width, seed, share, overlap, memory
):
    before = dotted(height, width, seed)
    after = changed(before, seed, share)
    last = one_expert.run_expert("dear", before)
    previous = Previous(last, same_cells(before, after))
    found = one_expert.upscale(after, overlap=overlap, memory=memory, previous=previous).pixels
    np.testing.assert_allclose(found, one_expert.run_expert("dear", after), atol=1e-5)


def test_away_from_what_is_computed_the_answer_is_the_previous_one_to_the_bit(engine):
    before = dotted(96, 96, 0)
    after = before.copy()
    after[40:48, 40:48] = 0.5
    last = noise(192, 192)
    result = engine.upscale(after, previous=Previous(last, same_cells(before, after)))
    computed = ~result.plan.reused
    assert computed[4:7, 4:7].all()
    assert computed.sum() < 40
    rows, columns = np.nonzero(computed)
    away = np.ones((192, 192), bool)
    top, left = rows.min() * 16 - 4, columns.min() * 16 - 4
    away[top : rows.max() * 16 + 20, left : columns.max() * 16 + 20] = False
    assert away.any()
    np.testing.assert_array_equal(result.pixels[away], last[away])


def test_only_what_changed_is_computed(engine, runs):
    before = noise(96, 96)
    after = before.copy()
    after[40:48, 40:48] = 0.5
    last = engine.upscale(before).pixels
    result = engine.upscale(after, previous=Previous(last, same_cells(before, after)))
    plain = engine.upscale(after)
    assert 0 < result.plan.cost < 0.4 * plain.plan.cost
    assert 0 < result.macs < 0.4 * plain.macs


def test_a_cell_beside_a_change_is_computed(engine):
    same = cells_of(40, 40, True)
    same[2, 2] = False
    settled = Previous(noise(80, 80), same).settled(Grid(40, 40, CELL), 3)
    assert settled.tolist() == [
        [max(abs(row - 2), abs(column - 2)) > 1 for column in range(5)] for row in range(5)
    ]


def test_the_further_an_expert_looks_the_more_is_computed():
    same = cells_of(72, 72, True)
    same[4, 4] = False
    previous, grid = Previous(noise(144, 144), same), Grid(72, 72, CELL)
    assert [(~previous.settled(grid, halo)).sum() for halo in (0, 8, 9, 17)] == [1, 9, 25, 49]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_previous_answer_may_be_in_integers(engine, kind):
    last = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (64, 128, 3)).astype(kind)
    result = engine.upscale(halves(), previous=Previous(last, cells_of(32, 64, True)))
    back = np.rint(result.pixels.astype(np.float64) * np.iinfo(kind).max).astype(kind)
    np.testing.assert_array_equal(back, last)


def test_the_router_is_asked_about_what_changed_only(engine, monkeypatch):
    before, after = halves(), halves()
    after[:8, :8] = 0.7
    first, fresh = engine.upscale(before), engine.upscale(after)
    asked, run = [], engine._router.session.run
    monkeypatch.setattr(
        engine._router.session,
        "run",
        lambda tiles, *rest: asked.append(len(tiles)) or run(tiles, *rest),
    )
    previous = Previous(first.pixels, same_cells(before, after), first.scores)
    np.testing.assert_array_equal(engine.upscale(after, previous=previous).scores, fresh.scores)
    assert asked == [1]


def test_what_the_router_said_outlives_a_frame_that_did_not_change(engine):
    first = engine.upscale(halves())
    same = cells_of(32, 64, True)
    second = engine.upscale(halves(), previous=Previous(first.pixels, same, first.scores))
    np.testing.assert_array_equal(second.scores, first.scores)


@pytest.mark.parametrize("wrong", [(noise(64, 126), (4, 8)), (noise(64, 128), (4, 7))])
def test_a_previous_answer_of_another_size_is_refused(engine, wrong):
    pixels, cells = wrong
    with pytest.raises(ValueError, match=r"are not \(64, 128, 3\) and \(4, 8\)"):
        engine.upscale(halves(), previous=Previous(pixels, np.ones(cells, bool)))


def test_a_map_shows_what_was_taken_over(engine):
    result = engine.upscale(halves(), previous=Previous(noise(64, 128), cells_of(32, 64, True)))
    picture = paint(result.plan, engine.manifest.classes, np.full((64, 128, 3), 0.5, np.float32))
    assert picture.shape[0] > 64
    inside = picture[20, 20]
    assert inside.max() - inside.min() < 1e-6  # a neutral colour
