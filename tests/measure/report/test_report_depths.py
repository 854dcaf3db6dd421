import json

import pytest
from records import DEPTHS

from mmsr_core.errors import MmsrError
from mmsr_core.measure.report.depths import depths_section
from mmsr_core.measure.report.runs import Run


def test_the_depth_table_marks_the_best_of_each_class(framework):
    (framework / "depth.json").write_text(json.dumps(DEPTHS))
    section = depths_section(Run.read(framework), "mmsr-x4", "depth-1.png")
    assert section.finding == "Best by class of tiles: SIMPLE shallow, COMPLEX shallow."
    assert section.body[1].splitlines() == [
        "| class    | tiles |     bicubic |   shallow (4-2) | deep (16-8) |",
        "| -------- | ----: | ----------: | --------------: | ----------: |",
        "| SIMPLE   | 1,400 | 40.10 (30%) | **40.20 (40%)** | 39.80 (30%) |",
        "| MODERATE |     0 |           – |               – |           – |",
        "| COMPLEX  |   120 | 30.00 (10%) | **30.50 (20%)** | 30.50 (70%) |",
    ]


def test_a_run_without_a_depth_table_says_how_to_get_one(framework):
    section = depths_section(Run.read(framework), "mmsr-x4", "depth-1.png")
    assert section.body == section.pictures == ()
    assert "mmsr train RECIPE --out" in section.notes[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [("tiles", [1, 2]), ("psnr_y", [[1.0], [1.0], [1.0]]), ("wins", [[2, 0, 0]] * 3)],
)
def test_a_damaged_depth_table_is_one_line(framework, key, value):
    (framework / "depth.json").write_text(json.dumps(DEPTHS | {key: value}))
    with pytest.raises(MmsrError, match=r"depth\.json: .*; was it made by mmsr\?") as caught:
        Run.read(framework)
    assert "\n" not in str(caught.value)
