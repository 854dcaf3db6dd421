"""An expert of lower precision, and its exact form, in the manifest."""

import json

import pytest

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import MANIFEST, Bundle, Manifest, read_manifest


def read(directory, facts):
    directory.mkdir()
    (directory / MANIFEST).write_text(json.dumps(facts))
    return read_manifest(directory)


def refusal(directory, facts):
    with pytest.raises(BundleError) as caught:
        read(directory, facts)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def quantized(facts):
    """A manifest whose small expert is the large one in 8 bits."""
    int8 = {"precision": "int8", "exact": "experts/large.onnx", "exact_cost": 1.0}
    facts["experts"][0] |= int8 | {"reason": "int8 loses 0.010 dB"}
    return facts


def test_an_expert_of_another_precision_names_its_exact_form(quantized):
    small = Manifest.model_validate(quantized).expert("small")
    assert (small.exact, small.exact_cost) == ("experts/large.onnx", 1.0)
    assert small.reason == "int8 loses 0.010 dB"


def test_an_exact_form_survives_writing_and_reading(tmp_path, quantized):
    assert read(tmp_path / "bundle", quantized) == Manifest.model_validate(quantized)


def test_an_exact_form_without_a_hash_is_refused(tmp_path, quantized):
    quantized["experts"][0]["exact"] = "experts/exact.onnx"
    assert "no hash for experts/exact.onnx" in refusal(tmp_path / "bundle", quantized)


def test_an_exact_form_that_leaves_the_bundle_is_refused(tmp_path, quantized):
    quantized["experts"][0]["exact"] = "../exact.onnx"
    assert "leaves the bundle" in refusal(tmp_path / "bundle", quantized)


def test_a_changed_exact_form_is_refused(make_bundle, tmp_path, quantized):
    bundle = make_bundle(tmp_path / "bundle", experts=quantized["experts"])
    (bundle.directory / "experts/large.onnx").write_bytes(b"Large")
    with pytest.raises(BundleError, match=r"experts/large\.onnx is not what"):
        Bundle.open(bundle.directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exact_cost": None}, "go together"),
        ({"exact": None}, "go together"),
        ({"precision": "fp32"}, "not fp32"),
        ({"exact": "experts/small.onnx"}, "another file"),
        ({"exact_cost": 0}, "exact_cost"),
    ],
)
def test_an_exact_form_that_makes_no_sense_is_refused(tmp_path, quantized, change, message):
    quantized["experts"][0] |= change
    assert message in refusal(tmp_path / "bundle", quantized)
