import json
import math

import pytest

from mmsr_core.measure.evaluation import Evaluation, Photograph, Row, means, title

NAN, INF = math.nan, math.inf


def photograph(file, **rows):
    """Rows as (psnr_y, niqe), a second each."""
    values = {
        name: {"psnr_y": psnr, "niqe": niqe, "seconds": 1.0} for name, (psnr, niqe) in rows.items()
    }
    return Photograph(file, 64, 48, values)


PHOTOGRAPHS = (
    photograph("a.png", small=(30.0, 5.0), large=(40.0, 4.0)),
    photograph("b.png", small=(20.0, 7.0), large=(INF, NAN)),
)


@pytest.fixture
def found():
    values, measured = means(PHOTOGRAPHS, ["small", "large"], ["psnr_y", "niqe"])
    rows = tuple(Row(name, "expert", values[name], 2.0, 10.0) for name in ("small", "large"))
    better = {"psnr_y": "higher", "niqe": "lower"}
    return Evaluation(
        "m@1", "cpu", 2, rows, {"ONE": 1.0}, {}, better, measured, PHOTOGRAPHS, "large"
    )


def test_a_mean_is_over_the_images_on_which_every_row_has_a_value(found):
    assert found.measured == {"psnr_y": 2, "niqe": 1}
    assert found.row("small").values == {"psnr_y": 25.0, "niqe": 5.0}
    assert found.row("large").values == {"psnr_y": INF, "niqe": 4.0}


def test_a_metric_without_any_value_has_no_mean():
    values, measured = means(PHOTOGRAPHS[1:], ["small", "large"], ["niqe"])
    assert measured == {"niqe": 0}
    assert all(math.isnan(values[name]["niqe"]) for name in ("small", "large"))


def test_json_has_null_for_what_is_infinite_or_missing(found):
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain["rows"][1] == {
        "name": "large",
        "psnr_y": None,
        "niqe": 4.0,
        "seconds": 2.0,
        "macs": 10.0,
    }
    assert plain["metrics"]["niqe"] == {"better": "lower", "images": 1}
    photo = plain["per_image"][1]
    assert (photo["file"], photo["width"], photo["height"]) == ("b.png", 64, 48)
    assert photo["rows"]["small"] == {"psnr_y": 20.0, "niqe": 7.0, "seconds": 1.0}
    assert photo["rows"]["large"] == {"psnr_y": None, "niqe": None, "seconds": 1.0}


def test_the_table_has_a_line_per_image_and_row(found):
    heads, *lines = found.as_table()
    assert heads == ["file", "row", "width", "height", "psnr_y", "niqe", "seconds"]
    assert [line[:2] for line in lines] == [
        ["a.png", "small"],
        ["a.png", "large"],
        ["b.png", "small"],
        ["b.png", "large"],
    ]
    assert lines[0][2:] == [64, 48, 30.0, 5.0, 1.0]
    assert lines[3][2:] == [64, 48, INF, "", 1.0]


def test_a_key_is_read_as_a_title():
    assert title("ms_ssim_y") == "MS-SSIM-Y"
