import math

import numpy as np
import pytest

from mmsr_core.errors import PluginError
from mmsr_core.measure.columns import Column, directions, measure, open_columns
from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Metric


def metric(name, value=1.0, better="higher", key=""):
    return Metric(
        name=name, summary="", better=better, key=key, open=lambda: lambda sr, hr, border: value
    )


def absent():
    raise PluginError("ma needs a package")


def catalog(*metrics):
    return Catalog(tuple(Entry("metric", metric, "a test") for metric in metrics))


NATURAL = catalog(
    metric("psnr", 30.0, key="psnr_y"), metric("niqe", 4.0, "lower"), metric("ma", 8.0)
)
IMAGE = np.zeros((8, 8, 3), np.float32)


def test_columns_come_in_the_order_asked():
    assert [column.key for column in open_columns(["niqe", "psnr"], NATURAL)] == ["niqe", "psnr_y"]


def test_a_metric_asked_twice_is_one_column():
    assert len(open_columns(["psnr", "niqe", "psnr"], NATURAL)) == 2


def test_a_columns_key_is_the_name_unless_the_metric_says_otherwise():
    assert metric("ms-ssim").column == "ms_ssim"
    assert metric("ms-ssim", key="ms_ssim_y").column == "ms_ssim_y"


@pytest.mark.parametrize("asked", [["pi"], ["niqe", "ma"], ["ma", "pi", "niqe"]])
def test_the_perceptual_index_is_there_when_both_its_parts_are(asked):
    columns = open_columns(asked, NATURAL)
    assert directions(columns)["pi"] == "lower"
    assert measure(columns, IMAGE, IMAGE, 0) == {"niqe": 4.0, "ma": 8.0, "pi": 3.0}


@pytest.mark.parametrize("asked", ["niqe", "ma"])
def test_one_part_makes_no_perceptual_index(asked):
    columns = open_columns([asked, "psnr"], NATURAL)
    assert "pi" not in directions(columns)
    assert "pi" not in measure(columns, IMAGE, IMAGE, 0)


def test_an_unknown_part_makes_an_unknown_perceptual_index():
    columns = open_columns(["pi"], catalog(metric("niqe", math.nan, "lower"), metric("ma", 8.0)))
    assert math.isnan(measure(columns, IMAGE, IMAGE, 0)["pi"])


def test_a_part_that_does_not_open_is_no_perceptual_index():
    closed = Metric(name="ma", summary="", better="higher", open=absent)
    with pytest.raises(PluginError, match="ma needs a package"):
        open_columns(["pi"], catalog(metric("niqe"), closed))


def test_a_metric_that_is_not_asked_for_is_not_opened():
    closed = Metric(name="ma", summary="", better="higher", open=absent)
    assert len(open_columns(["niqe"], catalog(metric("niqe"), closed))) == 1


def test_an_unknown_metric_gets_the_nearest_one():
    with pytest.raises(PluginError, match=r'no metric named "nique".*did you mean "niqe"'):
        open_columns(["nique"], NATURAL)


def test_two_metrics_of_one_column_are_both_named():
    rivals = catalog(metric("one", key="same"), metric("two", key="same"))
    with pytest.raises(PluginError, match='metric two: its column "same" is one of one'):
        open_columns(["one", "two"], rivals)


@pytest.mark.parametrize("key", ["seconds", "pi", "file"])
def test_a_column_of_the_evaluation_itself_is_taken(key):
    with pytest.raises(PluginError, match="is one of mmsr itself"):
        open_columns(["odd"], catalog(metric("odd", key=key)))


def test_a_metric_is_given_both_images_and_the_border():
    seen = []

    def watch(sr, hr, border):
        seen.append((sr is IMAGE, hr.sum(), border))
        return 1

    assert measure([Column("seen", "higher", watch)], IMAGE, IMAGE + 1, 3) == {"seen": 1.0}
    assert seen == [(True, 192, 3)]
