import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import make_record

from mmsr_core.errors import MmsrError
from mmsr_core.measure.report.files import Evaluation, Record, read
from mmsr_core.measure.report.runs import (
    Run,
    check_evaluations,
    plain_models,
    titles,
    training_set,
)


def records(*classes):
    return [
        Record.model_validate(
            make_record(f"e{index}", classes=mine, tiles=10**index, bytes=10**index)
        )
        for index, mine in enumerate(classes)
    ]


def test_tiles_of_a_class_that_two_experts_learn_from_count_once():
    found = training_set(records(["SIMPLE"], ["SIMPLE", "MODERATE"], ["COMPLEX"]))
    assert found == (110, 110)


def test_an_expert_of_all_tiles_has_the_training_set():
    assert training_set(records(["SIMPLE"], None)) == (10, 10)


def test_overlapping_classes_leave_the_training_set_unknown():
    assert training_set(records(["A", "B"], ["B", "C"])) == (None, None)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_classes_without_overlap_add_up(tiles):
    mine = [
        Record.model_validate(make_record(f"e{index}", classes=[f"C{index}"], tiles=count))
        for index, count in enumerate(tiles)
    ]
    assert training_set(mine)[0] == sum(tiles)


def test_an_expert_that_no_route_names_is_the_plain_model(framework):
    run = Run.read(framework)
    assert [record.expert for record in run.models] == ["shallow", "middle", "deep"]
    assert plain_models([run], [])[framework].record.expert == "plain"


def refused(runs, plains):
    with pytest.raises(MmsrError) as caught:
        plain_models([Run.read(run) for run in runs], [Run.read(plain) for plain in plains])
    return str(caught.value)


def test_a_plain_run_that_serves_no_run_is_refused(make_run):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    for name, changes in (("other", {"backbone": "esrgan"}), ("x2", {})):
        scale = {"scale": 2} if name == "x2" else {}
        plain = make_run(name, [make_record("deep", **changes)], **scale)
        assert "no RUN that needs one has a deepest expert of that" in refused([run], [plain])


def test_two_plain_runs_of_one_kind_are_refused(make_run):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    plains = [make_run(name, [make_record("deep")]) for name in ("p1", "p2")]
    assert "are both plain runs of its kind; give one of them" in refused([run], plains)


def test_a_plain_run_of_two_experts_is_refused(make_run):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    plain = make_run("p", [make_record("a"), make_record("b")])
    assert "a plain run has one trained expert, this has 2" in refused([run], [plain])


def test_a_plain_run_that_is_not_trained_is_refused(make_run):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    plain = make_run("p", [make_record("a")])
    (plain / "experts/a/training.json").unlink()
    assert "is not trained yet; finish the run first" in refused([run], [plain])


def test_runs_of_one_name_are_told_apart_by_their_directories(make_run):
    runs = [Run.read(make_run(name, [make_record("deep")])) for name in ("a", "b", "c")]
    twins = [Run.read(make_run(name, [make_record("deep")], name="a")) for name in ("d", "e")]
    assert list(titles([*runs[1:], *twins]).values()) == [
        "b",
        "c",
        f"a ({twins[0].directory})",
        f"a ({twins[1].directory})",
    ]


def test_an_evaluation_of_another_model_is_refused(framework, make_evaluation):
    path = make_evaluation("other", {"routed": [{"niqe": 4.0}]}, {"routed": 1.0})
    with pytest.raises(MmsrError, match=r"is of other@1\.0\.0; the runs are mmsr-x4@1\.0\.0"):
        check_evaluations([Run.read(framework)], {path: read(path, Evaluation)})


def test_an_evaluation_that_may_be_of_two_runs_is_refused(make_run, make_evaluation):
    runs = [Run.read(make_run(n, [make_record("deep")], name="x4")) for n in ("a", "b")]
    path = make_evaluation("x4", {"routed": [{"niqe": 4.0}]}, {"routed": 1.0})
    with pytest.raises(MmsrError, match="give one recipe another name or version"):
        check_evaluations(runs, {path: read(path, Evaluation)})


def test_a_directory_without_a_recipe_is_no_run(tmp_path):
    with pytest.raises(MmsrError, match=r"not a run, it has no recipe\.json"):
        Run.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1, 2", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'"\xff"', "not JSON"),
        ("[1, 2]", "the file: "),
        ('{"seconds": NaN}', "NaN is no JSON number"),
        ("{}", "expert: Field required"),
        (json.dumps(make_record("../up")), "expert: String should match"),
        (json.dumps(make_record("deep", seconds=-1.0)), "seconds: "),
        (json.dumps(make_record("deep", tiles="many")), "tiles: "),
    ],
)
def test_a_damaged_record_is_one_line(framework, text, message):
    path = framework / "experts/deep/training.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MmsrError) as caught:
        Run.read(framework)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(MmsrError, match="cannot read it"):
        read(tmp_path / "gone.json", Evaluation)
