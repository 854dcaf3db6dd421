import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import (
    FORMAT,
    MANIFEST,
    MANIFEST_LIMIT,
    Bundle,
    Manifest,
    digest,
    read_manifest,
    write_bundle,
)


def refusal(directory):
    with pytest.raises(BundleError) as caught:
        Bundle.open(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    return message


def write_manifest(directory, facts):
    directory.mkdir(exist_ok=True)
    (directory / MANIFEST).write_text(json.dumps(facts))
    return directory


@pytest.fixture
def bundle(tmp_path, make_bundle):
    return make_bundle(tmp_path / "bundle")


def test_a_written_bundle_opens_as_it_was(bundle):
    assert Bundle.open(bundle.directory) == bundle


def test_a_graph_comes_back_byte_for_byte(bundle):
    assert Bundle.open(bundle.directory).graph("experts/large.onnx").endswith(b"large")


def test_a_changed_byte_is_refused(bundle):
    (bundle.directory / "router.onnx").write_bytes(b"Router")
    assert "router.onnx is not what the manifest promises" in refusal(bundle.directory)


def test_a_byte_changed_after_opening_is_refused(bundle):
    opened = Bundle.open(bundle.directory)
    (bundle.directory / "router.onnx").write_bytes(b"Router")
    with pytest.raises(BundleError, match="SHA-256"):
        opened.graph("router.onnx")


def test_a_missing_graph_is_refused(bundle):
    (bundle.directory / "experts/small.onnx").unlink()
    assert "cannot read experts/small.onnx" in refusal(bundle.directory)


@pytest.mark.parametrize(
    "path", ["../router.onnx", "/etc/passwd", "a/../../b", "c:\\x", "a\\b", ""]
)
def test_a_path_that_leaves_the_bundle_is_refused(tmp_path, facts, path):
    facts["router"]["graph"] = path
    assert "leaves the bundle" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_hash_for_a_path_that_leaves_the_bundle_is_refused(tmp_path, facts):
    facts["files"]["../secret"] = "0" * 64
    assert "leaves the bundle" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_link_that_leaves_the_bundle_is_refused(tmp_path, bundle):
    graph = bundle.directory / "router.onnx"
    graph.rename(tmp_path / "elsewhere")  # the same bytes: only the place is wrong
    graph.symlink_to(tmp_path / "elsewhere")
    assert "a link that leaves" in refusal(bundle.directory)


def test_a_linked_folder_that_leaves_the_bundle_is_refused(tmp_path, bundle):
    experts = bundle.directory / "experts"
    experts.rename(tmp_path / "elsewhere")
    experts.symlink_to(tmp_path / "elsewhere")
    assert "a link that leaves" in refusal(bundle.directory)


def test_a_newer_format_asks_for_an_upgrade(tmp_path, facts):
    facts |= {"format": FORMAT + 1, "invention": True}
    assert "upgrade mmsr" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_an_unknown_key_is_refused_by_name(tmp_path, facts):
    facts["tiles"]["overlapp"] = 4
    assert "tiles.overlapp" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_missing_key_is_refused_by_name(tmp_path, facts):
    del facts["scale"]
    assert "scale" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_directory_without_a_manifest_is_no_bundle(tmp_path):
    assert "it has no manifest.json" in refusal(tmp_path)


def test_a_manifest_that_is_a_directory_is_refused(tmp_path):
    (tmp_path / MANIFEST).mkdir()
    assert "cannot read it" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"format": ' * 100_000],
    ids=["empty", "cut", "binary", "deep list", "deep object"],
)
def test_what_is_not_json_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    assert "not JSON" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"manifest"'])
def test_json_that_is_no_object_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    refusal(tmp_path)


def test_a_deeply_nested_recipe_is_refused_without_a_traceback(tmp_path, facts):
    text = json.dumps(facts)
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    (tmp_path / MANIFEST).write_text(text.replace('"by":', f'"recipe": {deep}, "by":'))
    refusal(tmp_path)


def test_a_huge_manifest_is_not_even_read(tmp_path):
    with (tmp_path / MANIFEST).open("wb") as file:
        file.truncate(MANIFEST_LIMIT + 1)
    assert "larger than 4 MiB" in refusal(tmp_path)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_cost_that_is_no_finite_number_is_refused(tmp_path, facts, value):
    text = json.dumps(facts).replace('"cost": 0.1', f'"cost": {value}')
    (tmp_path / MANIFEST).write_text(text)
    assert "experts.0.cost" in refusal(tmp_path)


def test_a_graph_without_a_hash_is_refused(tmp_path, facts):
    del facts["files"]["router.onnx"]
    assert "no hash for router.onnx" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_route_to_an_unknown_expert_suggests_the_nearest(tmp_path, facts):
    facts["routes"]["SIMPLE"]["experts"] = ["smal"]
    message = refusal(write_manifest(tmp_path / "bundle", facts))
    assert 'did you mean "small"?' in message


def test_a_route_to_an_unknown_fuser_is_refused(tmp_path, facts):
    facts["routes"]["SIMPLE"] = {"experts": ["small", "large"], "fuser": "edge"}
    assert 'no fuser named "edge"' in refusal(write_manifest(tmp_path / "bundle", facts))


def test_two_experts_without_a_fuser_are_refused(tmp_path, facts):
    facts["routes"]["SIMPLE"]["experts"] = ["small", "large"]
    assert "a fuser is for two" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_routes_have_to_be_the_classes(tmp_path, facts):
    facts["classes"] = ["SIMPLE"]
    assert "name different classes" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_experts_of_one_name_are_refused(tmp_path, facts):
    facts["experts"][0]["name"] = "large"
    assert "share one name" in refusal(write_manifest(tmp_path / "bundle", facts))


def test_a_seam_wider_than_half_a_cell_is_refused(tmp_path, facts):
    facts["tiles"] = {"cell": 8, "halo": 0, "seam": 5}
    assert "seam is wider" in refusal(write_manifest(tmp_path / "bundle", facts))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".hidden", "x" * 65])
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path, facts, name):
    facts["name"] = name
    assert "name" in refusal(write_manifest(tmp_path / "bundle", facts))


@given(version=st.text(max_size=12).filter(lambda text: not all(map(str.isdigit, text.split(".")))))
def test_a_version_is_three_numbers(version):
    with pytest.raises(ValidationError):
        Manifest.model_validate({"version": version})


def test_writing_over_an_existing_directory_is_refused(bundle):
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(bundle.directory, bundle.manifest, {})
    assert Bundle.open(bundle.directory) == bundle


def test_a_failed_write_leaves_nothing(tmp_path, bundle, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(tmp_path / "new" / "bundle", bundle.manifest, {"router.onnx": b"router"})
    assert list((tmp_path / "new").iterdir()) == []


def test_an_interrupted_write_leaves_nothing(tmp_path, bundle, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "new" / "bundle", bundle.manifest, {"router.onnx": b"router"})
    assert list((tmp_path / "new").iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path, bundle):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BundleError, match="cannot write there"):
        write_bundle(tmp_path / "file" / "bundle", bundle.manifest, {})


def test_an_expert_is_found_by_name(bundle):
    assert bundle.manifest.expert("small").cost == 0.1


def test_an_unknown_expert_suggests_the_nearest(bundle):
    with pytest.raises(BundleError, match=r'did you mean "large"\?'):
        bundle.manifest.expert("lage")


def test_the_deepest_expert_is_the_one_that_costs_most(bundle):
    assert bundle.manifest.deepest.name == "large"


def test_a_route_costs_the_sum_of_its_experts(facts):
    facts["routes"]["SIMPLE"] = {"experts": ["small", "large"], "fuser": "edge"}
    facts["fusers"] = {"edge": {"graph": "router.onnx"}}
    assert Manifest.model_validate(facts).route_cost("SIMPLE") == pytest.approx(1.1)


def test_a_digest_is_the_sha256():
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest({"nothing": b""}) == {"nothing": empty}


def test_a_manifest_is_read_without_its_graphs(tmp_path, facts):
    assert read_manifest(write_manifest(tmp_path / "bundle", facts)).name == "tiny-x2"
