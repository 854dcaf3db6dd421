import numpy as np
import pytest

from mmsr_core.runtime.plan import Costs, Plan, Region
from mmsr_core.runtime.routemap import paint
from mmsr_core.runtime.tiles import Grid

CLASSES = ("SIMPLE", "COMPLEX")


def two_halves(height=32, width=64, cell=16):
    """SIMPLE on the left, COMPLEX on the right."""
    grid = Grid(height, width, cell)
    middle = grid.columns // 2
    rows = slice(0, grid.rows)
    left, right = (slice(0, middle), slice(middle, grid.columns))
    regions = Region(grid.box(rows, left), 0), Region(grid.box(rows, right), 1)
    routes = np.zeros((grid.rows, grid.columns), np.intp)
    routes[:, middle:] = 1
    return Plan(grid, regions, routes, Costs((0.1, 1.0), 0))


def grey(height, width):
    return np.full((height, width, 3), 0.5, np.float32)


def test_each_class_has_its_colour():
    picture = paint(two_halves(), CLASSES, grey(64, 128))
    left, right = picture[32, 32], picture[32, 96]
    assert left[2] > left[0]  # cool
    assert right[0] > right[2]  # warm


def test_the_picture_shows_through():
    upscaled = grey(64, 128)
    upscaled[:, :16] = 0.9
    picture = paint(two_halves(), CLASSES, upscaled)
    assert picture[32, 8].mean() > picture[32, 32].mean()


def test_the_legend_lies_below_the_whole_picture():
    painted = paint(two_halves(), CLASSES, grey(640, 1280))
    assert painted.shape[1:] == (1280, 3)
    legend = painted[640:]
    assert legend.max() == 1
    assert legend.min() < 0.3


def test_a_map_stays_within_zero_and_one():
    painted = paint(two_halves(), CLASSES, np.ones((64, 128, 3), np.float32))
    assert painted.dtype == np.float32
    assert 0 <= painted.min() <= painted.max() <= 1


def test_the_picture_itself_is_left_alone():
    upscaled = grey(64, 128)
    paint(two_halves(), CLASSES, upscaled)
    assert (upscaled == 0.5).all()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_classes_has_different_colours(count):
    grid = Grid(8, 8 * count, 8)
    routes = np.arange(count).reshape(1, count)
    regions = tuple(Region(grid.box(slice(0, 1), slice(k, k + 1)), k) for k in range(count))
    plan = Plan(grid, regions, routes, Costs((1.0,) * count, 0))
    picture = paint(plan, tuple(f"C{k}" for k in range(count)), grey(8, 8 * count))
    colours = {tuple(picture[4, 8 * k + 4].round(3).tolist()) for k in range(count)}
    assert len(colours) == count


def test_the_smallest_image_can_be_painted():
    grid = Grid(1, 1, 8)
    region = Region(grid.box(slice(0, 1), slice(0, 1)), 0)
    plan = Plan(grid, (region,), np.zeros((1, 1), np.intp), Costs((1.0,), 0))
    assert paint(plan, ("ONLY",), grey(4, 4)).shape[1] == 4
