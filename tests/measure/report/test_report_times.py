from records import make_record

from mmsr_core.measure.report.runs import Run, plain_models, titles
from mmsr_core.measure.report.times import at_once, measured_span, times_section


def section(*paths, plains=(), workers=(1, 3)):
    runs, others = [Run.read(path) for path in paths], [Run.read(path) for path in plains]
    deep = plain_models(runs, others)
    return times_section(runs, titles([*runs, *others]), deep, workers)


def rows(found):
    lines = found.body[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_training_times_of_the_2019_paper(framework):
    found = section(framework)
    assert found.finding == "mmsr-x4: 2.91× as fast on 3 workers."
    assert found.body[0].splitlines() == [
        "| run     | training                   | how it is known                    | workers "
        "| seconds | against plain |",
        "| ------- | -------------------------- | ---------------------------------- | ------: "
        "| ------: | ------------: |",
        "| mmsr-x4 | plain srgan 16-8           | measured                           |       1 "
        "|  17,171 |         1.00× |",
        "| mmsr-x4 | multi-model 4-2, 8-6, 16-8 | computed: sum of measured          |       1 "
        "|  10,625 |         1.62× |",
        "| mmsr-x4 | multi-model 4-2, 8-6, 16-8 | computed: best packing of measured |       3 "
        "|   5,895 |         2.91× |",
    ]


def test_a_plain_run_of_the_same_kind_is_compared_with(make_run):
    models = [make_record("small", seconds=100.0), make_record("deep", seconds=300.0)]
    plain = make_run("plain", [make_record("deep", seconds=800.0)])
    found = rows(section(make_run("x4", models), plains=[plain], workers=(2,)))
    assert [row[4:] for row in found] == [["800", "1.00×"], ["300", "2.67×"]]


def test_without_a_plain_model_there_is_no_ratio_but_a_way_to_one(make_run):
    models = [make_record("small", classes=["C0"]), make_record("deep", classes=["C1"])]
    found = section(make_run("x4", models))
    assert {row[-1] for row in rows(found)} == {"–"}
    assert found.notes == (
        "x4: no plain deep model to compare with; train one expert of srgan on all tiles and "
        "give its run by --plain.",
    )


def test_a_deepest_model_that_saw_all_tiles_is_its_own_plain_one_and_says_so(make_run):
    models = [make_record("small", seconds=100.0), make_record("deep", seconds=300.0)]
    found = section(make_run("x4", models))
    assert [row[-1] for row in rows(found)] == ["1.00×", "0.75×", "1.00×"]
    assert "its plain deep model is its own expert deep" in found.notes[0]


def test_kinds_are_named_where_models_are_of_several(make_run):
    models = [make_record("small", backbone="esrgan", depth=4), make_record("deep")]
    found = section(make_run("x4", models))
    assert rows(found)[1][1] == "multi-model esrgan 4-8, srgan 16-8"


def test_other_devices_are_pointed_out(make_run):
    models = [make_record("small", device="cpu"), make_record("deep", device="A GPU")]
    assert (
        "x4: trained on different devices, A GPU and cpu." in section(make_run("x4", models)).notes
    )


def test_a_run_without_a_trained_expert_is_a_note(make_run):
    run = make_run("x4", [make_record("deep")])
    (run / "experts/deep/training.json").unlink()
    found = section(run)
    assert (found.body, found.pictures) == ((), ())
    assert found.notes == (f"{run}: no expert is trained yet; mmsr train makes them.",)


def spans(make_run, *times, nodes=("a", "b", "c")):
    names = zip(times, nodes, strict=False)
    records = [
        make_record(
            f"e{index}",
            seconds=60.0,
            started=started,
            ended=ended,
            node=node,
            classes=[f"C{index}"],
        )
        for index, ((started, ended), node) in enumerate(names)
    ]
    return make_run("x4", records)


def test_experts_that_trained_at_once_have_a_measured_span(make_run):
    run = spans(make_run, (100.0, 160.0), (110.0, 175.0), (165.0, 230.0))
    assert measured_span(Run.read(run).models) == 130.0
    found = section(run, workers=(3,))
    assert rows(found)[-1][2:5] == ["measured: first start to last end", "2", "130"]
    assert not any("slowed" in note for note in found.notes)


def test_experts_that_trained_at_once_on_one_node_may_have_slowed_each_other(make_run):
    run = spans(make_run, (100.0, 160.0), (110.0, 175.0), nodes=("a", "a"))
    assert any("may have slowed each other" in note for note in section(run).notes)


def test_experts_one_after_the_other_have_no_span(make_run):
    run = Run.read(spans(make_run, (100.0, 160.0), (160.0, 220.0)))
    assert at_once(run.models) == 1
    assert measured_span(run.models) is None


def test_a_resumed_expert_leaves_no_span(make_run):
    run = Run.read(spans(make_run, (100.0, 160.0), (110.0, 120.0)))
    assert measured_span(run.models) is None


def test_a_model_whose_time_is_not_recorded_is_pointed_out(framework):
    (framework / "experts/deep/training.json").rename(framework / "experts/deep/weights.pt")
    found = section(framework)
    assert rows(found)[1][1] == "multi-model 4-2, 8-6"
    assert "mmsr-x4: without deep, whose time is not recorded." in found.notes
