import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.runtime.tiles import Grid
from mmsr_core.video.reuse import Reference


def planes(height, width, value=100):
    half = (height + 1) // 2, (width + 1) // 2
    return [np.full(shape, value, np.uint8) for shape in ((height, width), half, half)]


def test_nothing_is_the_same_in_a_first_frame():
    assert not Reference(Grid(20, 20, 8), 2).same(planes(20, 20)).any()


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    cell=st.integers(2, 16),
    where=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
)
def test_a_changed_sample_changes_its_cell_and_no_other(height, width, cell, where):
    grid = Grid(height, width, cell)
    reference = Reference(grid, 2)
    reference.update(planes(height, width), np.ones((grid.rows, grid.columns), bool))
    changed = planes(height, width)
    row, column = int(where[0] * height), int(where[1] * width)
    changed[0][row, column] += 3
    same = reference.same(changed)
    assert not same[row // cell, column // cell]
    assert same.sum() == same.size - 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1))
def test_a_change_of_colour_alone_is_seen(height, width, which):
    grid = Grid(height, width, 8)
    reference = Reference(grid, 0)
    reference.update(planes(height, width), np.ones((grid.rows, grid.columns), bool))
    changed = planes(height, width)
    changed[1 + which][-1, -1] -= 1
    assert not reference.same(changed)[-1, -1]


def test_a_difference_up_to_the_threshold_is_none():
    grid = Grid(16, 16, 8)
    reference = Reference(grid, 2)
    reference.update(planes(16, 16, 100), np.ones((2, 2), bool))
    assert reference.same(planes(16, 16, 102)).all()
    assert reference.same(planes(16, 16, 98)).all()
    assert not reference.same(planes(16, 16, 103)).any()


def test_without_a_threshold_nothing_is_ever_the_same():
    reference = Reference(Grid(16, 16, 8), -1)
    reference.update(planes(16, 16), np.ones((2, 2), bool))
    assert not reference.same(planes(16, 16)).any()


def test_a_slow_change_is_seen_once_it_has_added_up():
    reference = Reference(Grid(8, 8, 8), 2)
    seen = []
    for value in range(100, 112):
        same = reference.same(planes(8, 8, value))
        reference.update(planes(8, 8, value), ~same)
        seen.append(bool(same[0, 0]))
    assert seen == [False, True, True] * 4


def test_only_computed_cells_have_a_new_reference():
    reference = Reference(Grid(20, 20, 8), 0)
    reference.update(planes(20, 20, 100), np.ones((3, 3), bool))
    computed = np.zeros((3, 3), bool)
    computed[1, 2] = True
    reference.update(planes(20, 20, 150), computed)
    assert np.array_equal(reference.same(planes(20, 20, 150)), computed)
    assert np.array_equal(reference.same(planes(20, 20, 100)), ~computed)
