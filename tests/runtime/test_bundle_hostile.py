"""Bundles from people who mean it."""

import json
import os

import pytest
from onnx import ModelProto

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import (
    BUNDLE_LIMIT,
    MANIFEST,
    Bundle,
    digest,
    parse_manifest,
    write_bundle,
)


def refusal(act, *args):
    with pytest.raises(BundleError) as caught:
        act(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parsed(facts):
    return parse_manifest(json.dumps(facts).encode(), "it")


@pytest.fixture
def bundle(tmp_path, make_bundle):
    return make_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("name", [MANIFEST, "router.onnx"])
def test_a_pipe_is_refused_and_not_waited_for(bundle, name):
    (bundle.directory / name).unlink()
    os.mkfifo(bundle.directory / name)
    assert "not a plain file" in refusal(Bundle.open, bundle.directory)


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../elsewhere"])
def test_a_manifest_that_is_a_link_out_of_the_bundle_is_refused(bundle, target):
    (bundle.directory / MANIFEST).unlink()
    (bundle.directory / MANIFEST).symlink_to(target)
    assert "a link that leaves" in refusal(Bundle.open, bundle.directory)


def test_a_link_to_nothing_is_refused(bundle):
    (bundle.directory / "router.onnx").unlink()
    (bundle.directory / "router.onnx").symlink_to("gone.onnx")
    assert "cannot read router.onnx" in refusal(Bundle.open, bundle.directory)


def test_a_link_to_itself_is_refused(bundle):
    (bundle.directory / "router.onnx").unlink()
    (bundle.directory / "router.onnx").symlink_to("router.onnx")
    refusal(Bundle.open, bundle.directory)


def test_a_link_within_the_bundle_is_followed(bundle):
    (bundle.directory / "router.onnx").rename(bundle.directory / "real.onnx")
    (bundle.directory / "router.onnx").symlink_to("real.onnx")
    Bundle.open(bundle.directory)


def test_files_that_are_too_large_together_are_not_even_read(bundle):
    for name in bundle.manifest.files:
        os.truncate(bundle.directory / name, BUNDLE_LIMIT // 2)  # holes: no byte on the disc
    assert "larger than 1024 MiB" in refusal(Bundle.open, bundle.directory)
    assert "larger than 1024 MiB" in refusal(bundle.files)


def test_a_key_that_is_there_twice_is_refused(facts):
    text = json.dumps(facts).replace('"scale": 2', '"scale": 2, "scale": 3')
    assert 'the key "scale" is there twice' in refusal(parse_manifest, text.encode(), "it")


@pytest.mark.parametrize(
    "path",
    [
        *("router.onnx ", "con.onnx", "experts/NUL", "a//b", "./router.onnx", "ro\u200buter.onnx"),
        *("r\u043euter.onnx", "a\x00b", "a\nb", "x" * 101, "dot.", "a/", ".hidden", "~/x", "$HOME"),
    ],
)
def test_a_path_that_is_not_the_same_plain_name_everywhere_is_refused(facts, path):
    facts["files"][path] = "0" * 64
    refusal(parsed, facts)


@pytest.mark.parametrize("path", ["manifest.json", "MANIFEST.json"])
def test_a_file_that_would_write_over_the_manifest_is_refused(facts, path):
    facts["files"][path] = "0" * 64
    assert "manifest's own" in refusal(parsed, facts)


def test_files_that_differ_only_in_case_are_refused(facts):
    facts["files"]["Router.onnx"] = "0" * 64
    assert "upper and lower case" in refusal(parsed, facts)


def test_more_files_than_a_bundle_has_are_refused(facts):
    facts["files"] |= {f"{number}.bin": "0" * 64 for number in range(300)}
    assert "files" in refusal(parsed, facts)


@pytest.mark.parametrize(
    "version", ["1.0.0\n", "01.0.0", "1.0", "\uff11.0.0", "9999999999.0.0", "-1.0.0"]
)
def test_a_version_has_one_spelling(facts, version):
    facts["version"] = version
    assert "version" in refusal(parsed, facts)


@pytest.mark.parametrize("key", ["depth", "radius", "macs", "cost"])
@pytest.mark.parametrize("value", [10**300, -1, "1" * 5000, [1]])
def test_a_number_beyond_all_bounds_is_refused(facts, key, value):
    facts["experts"][0][key] = value
    refusal(parsed, facts)


def test_a_number_of_too_many_digits_is_refused(facts):
    text = json.dumps(facts).replace('"scale": 2', f'"scale": {"9" * 5000}')
    refusal(parse_manifest, text.encode(), "it")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**30, [[[[[[[[[[1]]]]]]]]]] * 2])
@pytest.mark.parametrize("key", ["recipe", "scores"])
def test_what_a_manifest_tells_freely_is_plain_json(facts, key, value):
    for _ in range(10):
        value = [value] if isinstance(value, list) else value
    facts["made"][key] = {"a": value}
    assert f"made.{key}" in refusal(parsed, facts)


def test_half_a_character_is_refused(facts):
    facts["made"]["by"] = "\ud800"
    assert "not JSON" in refusal(parsed, facts)


def test_a_graph_with_its_data_elsewhere_is_refused_on_verifying(tmp_path, bundle, facts):
    model = ModelProto(ir_version=8)
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    files = {**bundle.files(), "router.onnx": model.SerializeToString()}
    facts["files"] = digest(files)
    write_bundle(tmp_path / "b", parsed(facts), files)
    assert "lies in another file" in refusal(Bundle.open, tmp_path / "b")
