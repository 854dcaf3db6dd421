"""The tables of a recipe, beyond what a whole recipe's tests say."""

from mmsr_core.train.tables import Source

NOTED = {"folder", "shrink", "source", "licence", "store"}
"""What runs noted of a data folder before it could be cropped; they are to be resumed still."""


def test_a_folder_that_is_not_cropped_is_noted_as_it_always_was():
    assert set(Source(folder="photos").essence()) == NOTED


def test_a_crop_is_noted_since_weights_depend_on_it():
    assert Source(folder="photos", crop=64).essence()["crop"] == 64
