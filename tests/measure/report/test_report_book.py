import json
import re

import cv2
import numpy as np
import pytest
from records import DEPTHS

from mmsr_core.errors import MmsrError
from mmsr_core.measure.report.book import Ask, make_report, write_report
from mmsr_core.measure.report.section import Picture, Section


@pytest.fixture
def ask(framework, paper, study):
    """Everything there can be in a report."""
    (framework / "depth.json").write_text(json.dumps(DEPTHS))
    (framework / "study.json").write_text(json.dumps(study))
    return Ask([framework, *paper["runs"]], paper["plains"], paper["evaluations"])


def test_the_pictures_that_the_report_names_lie_beside_it_and_show_something(ask, tmp_path):
    path = write_report(make_report(ask), tmp_path / "report")
    named = set(re.findall(r"!\[.*\]\((.*)\)", path.read_text()))
    assert named == {"depth-1.png", "training-time.png", "kinds-1.png"}
    assert {found.name for found in path.parent.iterdir()} == named | {"report.md"}
    for picture in path.parent.glob("*.png"):
        grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        assert min(grey.shape) > 300
        assert 0.02 < (grey != 255).mean() < 0.9
        assert len(np.unique(grey)) > 20


def test_the_sections_come_in_the_order_of_the_work(ask):
    titles = [section.title.split(" of ")[0].split(" on ")[0] for section in make_report(ask)]
    assert list(dict.fromkeys(titles)) == [
        "Experts",
        "Depth table",
        "Runs side by side",
        "Training time",
        "Results by kind",
        "Results that are missing",
        "Router study",
    ]


def test_other_files_in_the_folder_stay(framework, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    sections = make_report(Ask([framework]))
    write_report(sections, tmp_path)
    assert write_report(sections, tmp_path).is_file()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_failure_leaves_the_report_that_was_there(framework, tmp_path):
    path = write_report(make_report(Ask([framework])), tmp_path / "report")
    before = path.read_bytes()

    def broken(figure):
        raise RuntimeError("no ink")

    spoiled = Section("Bad", pictures=(Picture("bad.png", "bad", broken),))
    with pytest.raises(RuntimeError, match="no ink"):
        write_report([spoiled], path.parent)
    assert path.read_bytes() == before
    assert sorted(found.name for found in path.parent.iterdir()) == [
        "report.md",
        "training-time.png",
    ]


def test_a_file_in_the_folders_place_is_one_line(framework, tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(MmsrError, match="cannot write the report there"):
        write_report(make_report(Ask([framework])), tmp_path / "report")


def test_a_run_given_twice_is_refused(framework):
    with pytest.raises(MmsrError, match="this run is there twice"):
        make_report(Ask([framework, framework / "../mmsr-x4"]))


def test_a_folder_that_is_no_store_is_refused(framework, tmp_path):
    with pytest.raises(MmsrError, match="mmsr prepare makes one"):
        make_report(Ask([framework], stores=[tmp_path]))
