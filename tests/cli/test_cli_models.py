import json

import pytest
from click.testing import CliRunner

from mmsr_core.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*args): `mmsr models ARGS` over an empty home root and an empty shelf."""
    monkeypatch.setenv("MMSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("mmsr_registry.registry.SHELF", tmp_path / "shelf")
    return lambda *args: CliRunner().invoke(main, ["models", *map(str, args)])


@pytest.fixture
def bundle(tmp_path, make_bundle):
    return make_bundle(tmp_path / "bundle").directory


def test_an_empty_list_says_how_to_add_a_model(run):
    assert "mmsr models add" in run("list").output


def test_an_added_model_is_listed(run, bundle):
    run("add", bundle)
    last = run("list").output.splitlines()[-1]
    assert last.split()[:4] == ["tiny-x2", "1.0.0", "×2", "2"]


def test_the_list_as_json_names_each_models_directory(run, bundle, tmp_path):
    run("add", bundle)
    (model,) = json.loads(run("list", "--json").output)
    assert model["directory"] == str(tmp_path / "home/tiny-x2/1.0.0")
    assert model["experts"] == ["small", "large"]


def test_a_damaged_model_is_listed_with_its_problem(run, bundle, tmp_path):
    run("add", bundle)
    (tmp_path / "home/tiny-x2/1.0.0/manifest.json").write_text("{")
    result = run("list")
    assert result.exit_code == 0
    assert "not JSON" in result.output


def test_show_tells_experts_routes_licence_and_scores(run, bundle):
    text = run("show", bundle).output
    assert all(fact in text for fact in ("large", "COMPLEX", "CC0-1.0", "SIMPLE 30.5"))


def test_show_prints_no_control_characters_of_a_stranger(run, tmp_path, make_bundle):
    made = {"by": "\x1b[2Jevil", "data": [], "scores": {}}
    text = run("show", make_bundle(tmp_path / "evil", made=made).directory).output
    assert "evil" in text
    assert "\x1b" not in text


def test_show_as_json_is_the_manifest(run, bundle):
    shown = json.loads(run("show", bundle, "--json").output)
    assert shown == json.loads((bundle / "manifest.json").read_text())


def test_show_of_an_unknown_model_is_one_line(run):
    result = run("show", "tiny-x3")
    assert result.exit_code == 1
    assert result.stderr == 'mmsr: error: no model named "tiny-x3"; installed: none\n'


def test_verify_tells_of_a_sound_model(run, bundle):
    assert run("verify", bundle).output == "tiny-x2@1.0.0: sound, 3 files checked\n"


def test_verify_refuses_a_changed_byte(run, bundle):
    (bundle / "router.onnx").write_bytes(b"Router")
    result = run("verify", bundle)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_a_removed_model_is_listed_no_more(run, bundle):
    run("add", bundle)
    assert run("remove", "tiny-x2").exit_code == 0
    assert json.loads(run("list", "--json").output) == []
