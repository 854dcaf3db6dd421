from records import make_record

from mmsr_core.measure.report.experts import experts_section, side_by_side
from mmsr_core.measure.report.files import Evaluation, read
from mmsr_core.measure.report.runs import Run, titles


def test_the_table_of_experts(framework):
    section = experts_section(Run.read(framework), "mmsr-x4")
    assert section.finding == "4 trained experts, 27,796 s in all; the device had data 99% of it."
    assert section.body[0].splitlines() == [
        "| expert  | kind  | depth | options | classes  | device | node | tiles |   MB | epochs "
        "| steps | GAN steps | parameters | seconds | busy |",
        "| ------- | ----- | ----- | ------- | -------- | ------ | ---- | ----: | ---: | -----: "
        "| ----: | --------: | ---------: | ------: | ---: |",
        "| shallow | srgan | 4-2   | –       | SIMPLE   | cpu    | host |   400 | 40.0 |   40.0 "
        "|   500 |       500 |  1,500,000 |   1,730 | 100% |",
        "| middle  | srgan | 8-6   | –       | MODERATE | cpu    | host |   350 | 35.0 |   45.7 "
        "|   500 |       500 |  1,500,000 |   3,000 |  90% |",
        "| deep    | srgan | 16-8  | –       | COMPLEX  | cpu    | host |   250 | 25.0 |   64.0 "
        "|   500 |       500 |  1,500,000 |   5,895 | 100% |",
        "| plain   | srgan | 16-8  | –       | all      | cpu    | host | 1,000 |  100 |   16.0 "
        "|   500 |       500 |  1,500,000 |  17,171 | 100% |",
    ]


def cells(section, row):
    return [cell.strip() for cell in section.body[0].splitlines()[2 + row].split("|")[1:-1]]


def test_what_is_unknown_is_a_dash(make_run):
    record = make_record(
        "deep", tiles=None, bytes=None, adversarial_steps=0, node=None, seconds=0.0, waited=0.0
    )
    row = cells(experts_section(Run.read(make_run("x4", [record])), "x4"), 0)
    assert row[2] == "16"  # no GAN phase: its discriminator had no say
    assert row[6:] == ["–", "–", "–", "–", "500", "–", "1,500,000", "0.00", "–"]


def test_an_expert_without_a_record_has_its_line(make_run):
    run = make_run("x4", [make_record("deep", options={"channels": 64})])
    (run / "experts/deep/training.json").unlink()
    section = experts_section(Run.read(run), "x4")
    assert section.finding == "0 trained experts."
    assert cells(section, 0) == ["deep", "srgan", "16", "channels 64", *["–"] * 11]


def test_an_unfinished_run_is_said_to_be(make_run):
    run = make_run("x4", [make_record("deep")], finished=False)
    (note,) = experts_section(Run.read(run), "x4").notes
    assert note.endswith(f"mmsr train RECIPE --out {run} --resume goes on with it.")


def test_runs_side_by_side_show_what_pruning_did(make_run, make_evaluation):
    whole = make_run("whole", [make_record("deep")])
    store = [{"folder": "photos", "store": "pruned.tiles"}]
    less = {"tiles": 580, "bytes": 58_000_000, "seconds": 966.0}
    pruned = make_run("pruned", [make_record("deep", **less)], data=store)
    runs = [Run.read(whole), Run.read(pruned)]
    evaluations = {}
    for name, psnr in (("whole", 30.25), ("pruned", 30.125)):
        path = make_evaluation(
            name, {"deep": [{"psnr_y": psnr}]}, {"deep": 1.0}, {"psnr_y": "higher"}
        )
        evaluations[path] = read(path, Evaluation)
    section = side_by_side(runs, titles(runs), evaluations)
    assert section.body[0].splitlines() == [
        "| run    | expert            | data         | tiles |   MB | epochs | steps | seconds "
        "| test split, dB | 000.png, dB |",
        "| ------ | ----------------- | ------------ | ----: | ---: | -----: | ----: | ------: "
        "| -------------: | ----------: |",
        "| whole  | deep (srgan 16-8) | photos.tiles | 1,000 |  100 |   16.0 | 1,000 |   1,000 "
        "|          28.50 |       30.25 |",
        "| pruned | deep (srgan 16-8) | pruned.tiles |   580 | 58.0 |   27.6 | 1,000 |     966 "
        "|          28.50 |       30.12 |",
    ]


def test_an_expert_of_a_joint_route_has_no_test_score_of_its_own(make_run):
    records = [make_record("small"), make_record("deep")]
    runs = [Run.read(make_run("x4", records, {"SIMPLE": ["small", "deep"]}))]
    assert cells(side_by_side(runs, titles(runs), {}), 0)[-1] == "–"


def test_a_begun_expert_without_a_record_is_pointed_out(make_run):
    run = make_run("x4", [make_record("deep")])
    (run / "experts/deep/training.json").rename(run / "experts/deep/checkpoint.pt")
    (note,) = experts_section(Run.read(run), "x4").notes
    assert note.startswith("deep has no training.json: it is not finished")
