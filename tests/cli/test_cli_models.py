import hashlib
import json
import re
import shutil

import pytest
from click.testing import CliRunner
from webserver import Site, serving

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


@pytest.fixture
def site(bundle):
    with serving(Site()) as site:
        for path in bundle.rglob("*.*"):
            site.files[f"/tiny/{path.relative_to(bundle).as_posix()}"] = path.read_bytes()
        manifest = site.files["/tiny/manifest.json"]
        entry = {
            "name": "tiny-x2",
            "version": "1.0.0",
            "url": "tiny/manifest.json",
            "sha256": hashlib.sha256(manifest).hexdigest(),
            "size": 4_500_000,
            "licence": "CC0-1.0",
            "summary": "a small one",
        }
        site.files["/index.json"] = json.dumps({"format": 1, "models": [entry]}).encode()
        yield site


def test_a_zip_file_is_added(run, bundle, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", bundle)
    assert run("add", packed).output.startswith("tiny-x2@1.0.0: added to ")
    assert run("verify", "tiny-x2").exit_code == 0


def test_a_model_is_added_from_an_address(run, site):
    result = run("add", f"{site.url}/tiny/manifest.json")
    assert result.exit_code == 0, result.output
    assert run("verify", "tiny-x2").exit_code == 0


def test_a_model_is_added_by_name_from_an_index(run, site):
    assert run("add", "tiny-x2", "--index", f"{site.url}/index.json").exit_code == 0
    assert run("verify", "tiny-x2@1.0.0").exit_code == 0


def test_an_index_is_searched(run, site):
    result = run("search", "small", "--index", f"{site.url}/index.json")
    last = result.output.splitlines()[-1]
    assert last.split() == ["tiny-x2", "1.0.0", "4.50", "MB", "CC0-1.0", "a", "small", "one"]
    found = json.loads(run("search", "--json", "--index", f"{site.url}/index.json").output)
    assert found[0]["url"] == f"{site.url}/tiny/manifest.json"


def test_a_search_without_a_match_says_so(run, site):
    result = run("search", "giant", "--index", f"{site.url}/index.json")
    assert result.output == "the index has no such model\n"


@pytest.mark.parametrize("source", ["folder", "zip", "address"])
def test_another_hash_is_refused_wherever_a_model_comes_from(run, bundle, site, tmp_path, source):
    places = {
        "folder": bundle,
        "zip": shutil.make_archive(str(tmp_path / "packed"), "zip", bundle),
        "address": f"{site.url}/tiny/",
    }
    result = run("add", places[source], "--sha256", "0" * 64)
    assert result.exit_code == 1
    assert "its SHA-256 is" in result.stderr
    assert not (tmp_path / "home").exists()


def test_what_is_no_hash_is_refused(run, bundle):
    assert "64 digits" in run("add", bundle, "--sha256", "abc").stderr


@pytest.mark.parametrize("limit", ["0.001", "0.0001"])
def test_the_limit_holds(run, site, limit):
    result = run("add", f"{site.url}/tiny/", "--limit", limit)
    assert result.exit_code == 1
    assert "--limit allows more" in result.stderr


@pytest.mark.parametrize(
    "source", ["http://example.org/x.zip", "ftp://example.org/x.zip", "hf:nobody", "missing.zip"]
)
def test_a_source_that_can_not_be_is_one_line(run, source):
    result = run("add", source)
    assert result.exit_code == 1
    assert result.stderr.startswith("mmsr: error: ")
    assert result.stderr.count("\n") == 1


def test_adding_a_model_that_is_there_already_changes_nothing(run, bundle, tmp_path):
    run("add", bundle)
    stored = tmp_path / "home/tiny-x2/1.0.0/manifest.json"
    before = stored.stat().st_mtime_ns
    assert "is there already" in run("add", bundle).output
    assert stored.stat().st_mtime_ns == before


def test_taking_the_name_of_a_shipped_model_is_said(run, bundle, make_bundle, tmp_path):
    make_bundle(tmp_path / "shelf/tiny-x2/0.9.0", version="0.9.0")
    assert "ships with mmsr too" in run("add", bundle).stderr


def test_show_names_the_first_of_many_features_and_how_many_there_are(run, tmp_path, make_bundle):
    features = [f"pixel_{index}" for index in range(768)]
    router = {"graph": "router.onnx", "output": "errors", "features": features, "cost": 0.25}
    text = run("show", make_bundle(tmp_path / "many", router=router).directory).output
    assert "pixel_23, … (768)" in text
    assert "pixel_24" not in text
    assert re.search(r"router cost +0\.250\n", text)
