import json

from mmsr_core.measure.report.files import Study
from mmsr_core.measure.report.routers import study_section, verdicts
from mmsr_core.measure.report.runs import Run


def test_the_finding_is_reported_either_way(study):
    beats, loses = verdicts(Study.model_validate(study))
    assert beats == (
        "On router (45 photographs) the forest beats the untrained rules: forest-gain (recipe, "
        "cells of 32) costs 0.700 and keeps 75% of the oracle's saving, tvat-threshold (tvat, "
        "cells of 32) costs 0.800 and keeps 50%."
    )
    # The other forest would beat them here; it is not chosen on the photographs it is judged by.
    assert loses == (
        "On city (1 photograph) the forest does not beat the untrained rules: forest-gain "
        "(recipe, cells of 32) costs 0.800 and keeps 50% of the oracle's saving, edge-threshold, "
        "tuned (edge_score, cells of 32) costs 0.750 and keeps 62%."
    )


def test_an_equal_cost_does_not_beat(study):
    study["rows"][0]["sets"]["router"]["cost"] = 0.8
    study["rows"][1]["sets"]["router"]["cost"] = 0.8
    assert "does not beat" in verdicts(Study.model_validate(study))[0]


def test_without_rules_there_is_no_verdict(study):
    study["rows"] = study["rows"][:2]
    assert verdicts(Study.model_validate(study)) == []


def test_the_table_has_a_line_for_every_router(framework, study):
    (framework / "study.json").write_text(json.dumps(study))
    section = study_section(Run.read(framework), "mmsr-x4")
    lines = section.body[1].splitlines()
    assert len(lines) == 2 + 5
    assert " ".join(lines[2].split()) == (
        "| forest-gain | recipe | 32 | 60 | 12 | 5.25 | 0.700 | 75% | 60% | 0.800 | 50% | 60% |"
    )
    assert "loses 0.02 dB" in section.body[0]


def test_a_run_without_a_study_says_how_to_make_one(framework):
    section = study_section(Run.read(framework), "mmsr-x4")
    assert f"mmsr study {framework} --images PHOTOS makes it" in section.notes[0]
