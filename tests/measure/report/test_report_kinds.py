import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import make_record

from mmsr_core.measure.report.comparison import compare
from mmsr_core.measure.report.files import Evaluation, read
from mmsr_core.measure.report.kinds import kinds_sections
from mmsr_core.measure.report.runs import Run, plain_models, titles


def sections(runs, plains=(), evaluations=(), workers=(1, 3)):
    opened, others = [Run.read(path) for path in runs], [Run.read(path) for path in plains]
    given = {path: read(path, Evaluation) for path in evaluations}
    names = titles([*opened, *others])
    return kinds_sections(opened, names, plain_models(opened, others), given, workers)


def test_the_results_of_the_2020_paper(paper):
    found = sections(**paper)[0]
    assert found.title == "Results by kind on 100 images (000.png …)"
    assert found.finding == "65.7% of the images improved by PI, reconstruction time −34.4%."
    assert found.body[1].splitlines() == [
        "| kind      | run            | training set, MB | training, s: plain | models on 1 "
        "| models on 3 |          PI ↓ | improved | reconstruction, s | change |",
        "| --------- | -------------- | ---------------: | -----------------: | ----------: "
        "| ----------: | ------------: | -------: | ----------------: | -----: |",
        "| msrresnet | msrresnet-mmsr |  21,402 → 12,437 |            151,020 |     440,820 "
        "|     146,940 | 5.191 → 5.156 |    61.0% |       85.0 → 59.0 | −30.6% |",
        "| srgan     | srgan-mmsr     |  21,402 → 12,437 |            115,200 |     326,160 "
        "|     108,720 | 2.087 → 2.051 |    58.0% |       82.0 → 46.0 | −43.9% |",
        "| esrgan    | esrgan-mmsr    |  21,402 → 12,437 |            262,080 |     764,820 "
        "|     254,940 | 2.204 → 2.054 |    78.0% |        138 → 95.0 | −31.2% |",
        "| average   |                |  21,402 → 12,437 |            176,100 |     510,600 "
        "|     170,200 | 3.161 → 3.087 |    65.7% |        102 → 66.7 | −34.4% |",
    ]


@pytest.fixture
def evaluated(make_evaluation):
    """evaluated(before, after, better): how the engine compares, image by image."""

    def run(before, after, better="lower"):
        values = {
            "deep": [{"niqe": value} for value in before],
            "routed": [{"niqe": value} for value in after],
        }
        path = make_evaluation("x4", values, {"deep": 2.0, "routed": 1.0}, {"niqe": better})
        return compare(read(path, Evaluation), "deep", "niqe")

    return run


def test_a_tie_is_not_an_improvement(evaluated):
    found = evaluated([5.0, 5.0, 5.0, 5.0], [5.0, 4.9, 5.1, 5.0])
    assert (found.improved, found.images) == (0.25, 4)


def test_higher_improves_where_higher_is_better(evaluated):
    assert evaluated([5.0, 5.0], [5.5, 4.0], "higher").improved == 0.5


def test_an_image_without_a_value_counts_for_neither(evaluated):
    found = evaluated([5.0, None, 7.0], [4.0, 3.0, None])
    assert (found.before, found.after, found.improved, found.images) == (5.0, 4.0, 1.0, 1)


def test_without_any_value_there_is_no_comparison(evaluated):
    assert evaluated([None], [4.0]) is None


VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20)


@given(VALUES)
def test_improved_worse_and_tied_images_are_all_the_images(pairs):
    def share(better):
        rows = [
            {"deep": {"niqe": float(before)}, "routed": {"niqe": float(after)}}
            for before, after in pairs
        ]
        images = [{"file": "a", "width": 1, "height": 1, "rows": row} for row in rows]
        facts = {"model": "x", "device": "cpu", "images": len(images), "rows": []}
        facts |= {"metrics": {"niqe": {"better": better}}, "per_image": images}
        return compare(Evaluation.model_validate(facts), "deep", "niqe").improved

    ties = sum(before == after for before, after in pairs) / len(pairs)
    assert share("lower") + share("higher") + ties == pytest.approx(1)


def test_an_own_plain_expert_is_found_among_the_rows(framework, make_evaluation):
    values = {name: [{"niqe": 4.0}, {"niqe": 6.0}] for name in ("deep", "plain", "routed")}
    seconds = {"deep": 3.0, "plain": 4.0, "routed": 1.0}
    (found,) = sections([framework], evaluations=[make_evaluation("mmsr-x4", values, seconds)])
    line = found.body[1].splitlines()[-1]
    assert found.title == "Results by kind on 2 images (000.png …)"
    assert "| 100 → 100 " in " ".join(line.split())  # shallow, middle and deep share the tiles
    assert "4.00 → 1.00" in line
    assert "| 0.0% |" in " ".join(line.split())


def test_an_evaluation_without_the_plain_models_row_says_how_to_get_one(make_run, make_evaluation):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    plain = make_run("plain-x4", [make_record("deep")])
    path = make_evaluation("x4", {"routed": [{"niqe": 4.0}]}, {"routed": 1.0})
    (found,) = sections([run], [plain], [path])
    assert found.notes == (
        f"{path}: has no row of plain-x4@1.0.0; mmsr evaluate --model x4@1.0.0 --against "
        "plain-x4@1.0.0 --images PHOTOS --metrics psnr,niqe --json FILE makes one.",
    )


def test_a_run_without_an_evaluation_says_how_to_get_one(framework):
    (found,) = sections([framework])
    assert found.body == ()
    assert found.notes[0].startswith(
        "mmsr-x4: no --evaluation; mmsr evaluate --model mmsr-x4@1.0.0"
    )


def test_evaluations_on_other_photographs_are_not_averaged_with_them(
    paper, make_run, make_evaluation
):
    run = make_run("city-x4", [make_record("small"), make_record("deep")])
    values = {"deep": [{"niqe": 4.0}], "routed": [{"niqe": 3.0}]}
    path = make_evaluation("city-x4", values, {"deep": 2.0, "routed": 1.0})
    paper["runs"].append(run)
    paper["evaluations"].append(path)
    paper["plains"] = [paper["plains"][index] for index in (0, 2)]
    found = sections([*paper["runs"]], paper["plains"], paper["evaluations"])
    assert [one.title for one in found] == [
        "Results by kind on 100 images (000.png …)",
        "Results by kind on 000.png",
        "Results that are missing",
    ]
    assert "average" not in found[1].body[1]


def test_what_was_not_measured_is_said_not_faked(make_run, make_evaluation):
    run = make_run("x4", [make_record("small"), make_record("deep")])
    values = {"deep": [{"psnr_y": None}], "routed": [{"psnr_y": 30.0}]}
    seconds = {"deep": 2.0, "routed": 1.0}
    path = make_evaluation("x4", values, seconds, {"psnr_y": "higher"})
    table, missing = sections([run], evaluations=[path])
    assert "PSNR" not in table.body[1]
    assert "NIQE was not measured" in missing.notes[0]
