import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.errors import RecipeError
from mmsr_core.train.data import Pair
from mmsr_core.train.sources import Batches, Crops, Stored


class Shelf:
    """A store in memory whose tiles say which they are in their first LR pixel."""

    def __init__(self, count, tile=6, scale=2, first=0):
        self.tile, self.scale = tile, scale
        self.lr = np.zeros((count, tile, tile, 3), np.uint8)
        self.lr[:] = (first + np.arange(count))[:, None, None, None]

    def read(self, rows):
        lr = self.lr[rows]
        return lr, lr.repeat(self.scale, 1).repeat(self.scale, 2)


def numbered(height, width, scale):
    """A pair in which every HR pixel says from which LR pixel it comes."""
    lr = np.arange(height * width * 3).reshape(height, width, 3).astype(np.uint8)
    return Pair(lr, lr.repeat(scale, 0).repeat(scale, 1), 0)


def stored(*counts):
    shelves, first = [], 0
    for count in counts:
        shelves.append(Shelf(count, first=first))
        first += count
    return Stored(tuple(shelves), tuple(np.arange(count) for count in counts))


def test_lr_and_hr_patches_correspond_under_every_flip_and_turn():
    lr, hr = Crops([numbered(9, 11, 3)], 5).draw(0, 64, 5, 0)
    assert lr.shape == (64, 5, 5, 3)
    assert (hr == lr.repeat(3, 1).repeat(3, 2)).all()


def test_all_eight_flips_and_turns_occur():
    lr, _ = Crops([numbered(4, 4, 2)], 4).draw(0, 200, 4, 0)
    assert len({tuple(patch.flatten().tolist()) for patch in lr}) == 8


def test_a_photograph_is_drawn_in_proportion_to_its_area():
    dark = Pair(np.zeros((30, 30, 3), np.uint8), np.zeros((60, 60, 3), np.uint8), 0)
    light = Pair(np.full((10, 10, 3), 255, np.uint8), np.full((20, 20, 3), 255, np.uint8), 1)
    lr, _ = Crops([dark, light], 8).draw(0, 2000, 8, 0)
    assert lr.mean() / 255 == pytest.approx(0.1, abs=0.03)


def test_photographs_smaller_than_a_patch_are_left_out():
    crops = Crops([numbered(4, 30, 2), numbered(9, 11, 2)], 8)
    assert crops.pixels == 99
    assert crops.draw(0, 20, 8, 0)[0].shape == (20, 8, 8, 3)


def test_photographs_that_are_all_too_small_are_refused():
    with pytest.raises(RecipeError, match="as large as a patch of 13 LR pixels"):
        Crops([numbered(9, 11, 2)], 13)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 9))
def test_an_epoch_shows_every_stored_tile_once(counts, batch, seed):
    tiles = stored(*counts)
    total = sum(counts)
    seen = [tiles.draw(step, batch, 4, seed)[0][:, 0, 0, 0] for step in range(3 * total)]
    order = np.concatenate(seen)
    for epoch in range(batch * 3):
        assert sorted(order[epoch * total : (epoch + 1) * total]) == list(range(total))


def test_epochs_have_different_orders():
    tiles = stored(40)
    first, second = (tiles.draw(epoch, 40, 6, 1)[0][:, 0, 0, 0] for epoch in (0, 1))
    assert not np.array_equal(first, second)


def test_a_step_alone_decides_its_batch():
    tiles = stored(7, 5)
    straight = [tiles.draw(step, 4, 5, 2) for step in range(8)]
    again = stored(7, 5)
    for step in (6, 1, 7):  # in any order, as after an interruption
        for mine, other in zip(again.draw(step, 4, 5, 2), straight[step], strict=True):
            assert np.array_equal(mine, other)


def test_only_the_chosen_rows_are_learnt_from():
    tiles = Stored((Shelf(9),), (np.array([2, 5]),))
    assert tiles.count == 2
    assert tiles.pixels == 2 * 36
    assert set(tiles.draw(0, 10, 6, 0)[0][:, 0, 0, 0]) == {2, 5}


def test_batches_drawn_ahead_are_those_of_their_steps():
    tiles = stored(20)
    batches = Batches(tiles, 4, 6, 3, first=2, last=9)
    for step, lr, hr in batches:
        wanted, _ = tiles.draw(step, 4, 6, 3)
        assert np.array_equal((lr * 255).round().permute(0, 2, 3, 1).numpy(), wanted)
        assert hr.shape == (4, 3, 12, 12)
    assert step == 8
    assert batches.waited > 0
