"""Which precision an expert gets, and why; what an export makes of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from forms import SCALE, answer, network, photographs
from graphs import expert, write_upscaler
from torch import nn

from mmsr_core.draft import ExpertDraft
from mmsr_core.errors import BundleError, ExportError
from mmsr_core.runtime.bundle import Bundle, read_manifest
from mmsr_core.runtime.engine import Engine
from mmsr_onnx.eightbit import quantize, quantize_module
from mmsr_onnx.experts import make_experts
from mmsr_onnx.precision import Form, Lower, lowered, worthwhile

SEEN = photographs()


def judged(graph, noise):
    """Photographs (LR, HR) that a network answers with an error of about `noise`."""
    rng = np.random.default_rng(0)
    found = []
    for tile in photographs(4):
        lr = np.rint(tile * 255).astype(np.uint8)
        hr = answer(graph, lr.astype(np.float32) / 255)
        hr = hr + rng.normal(0, noise, hr.shape)
        both = lr, np.rint(hr.clip(0, 1) * 255).astype(np.uint8)
        found.append(tuple(image[0].transpose(1, 2, 0) for image in both))
    return found


def wish(precision, graph, noise=0.05):
    return Lower(precision=precision, seen=SEEN, judges=judged(graph, noise))


def cancelling():
    """A network whose activations are large, and cancel: 8 bits have no steps for the rest."""
    tail = np.random.default_rng(1).normal(0, 0.02, (12, 8, 3, 3))
    tail[:, 1::2] = -tail[:, ::2]
    return network(head_bias=np.full(8, 100.0), second=np.zeros((8, 8, 3, 3)), tail=tail)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_precision_that_loses_little_is_taken(precision):
    exact = network()
    form = lowered("net", exact, SCALE, wish(precision, exact))
    assert form.precision == precision
    assert form.graph != exact
    assert 0 < form.difference < 0.1
    limit = {"int8": "0.05", "fp16": "0.02"}[precision]
    assert form.reason.startswith(f"{precision} loses ")
    assert form.reason.endswith(f" dB on 4 photographs (limit {limit})")


def test_the_form_taken_is_the_one_that_was_measured():
    exact = network()
    assert lowered("net", exact, SCALE, wish("int8", exact)).graph == quantize(exact, SEEN)


def test_a_precision_that_loses_much_is_refused_with_its_figure():
    exact = network()
    form = lowered("net", exact, SCALE, wish("int8", exact, noise=0.002))
    assert (form.graph, form.precision) == (exact, "fp32")
    assert form.reason.startswith("int8 would lose ")
    assert float(form.reason.split()[3]) > 0.05


def test_a_network_made_to_be_bad_in_8_bits_stays_fp32():
    exact = cancelling()
    form = lowered("net", exact, SCALE, wish("int8", exact, noise=0.02))
    assert (form.graph, form.precision) == (exact, "fp32")
    assert form.reason.startswith("int8 would lose ")


def test_a_network_beyond_the_range_of_fp16_stays_fp32():
    exact = network(first=np.full((8, 8, 3, 3), 1e5), second=np.full((8, 8, 3, 3), 1e-9))
    form = lowered("net", exact, SCALE, wish("fp16", exact))
    assert (form.graph, form.precision) == (exact, "fp32")
    assert form.reason.startswith("no fp16: ")
    assert "not finite" in form.reason


def test_a_network_without_wide_convolutions_stays_fp32_and_says_so():
    exact = network(channels=4)
    form = lowered("net", exact, SCALE, wish("int8", exact))
    assert form == Form(exact, "fp32", "no int8: no convolution has 8 input channels or more")


def test_8_bits_that_save_no_time_are_given_up():
    form = worthwhile(Form(b"int8", "int8", "int8 loses little"), b"fp32", 1.08, 1.0)
    assert form == Form(b"fp32", "fp32", "int8 would take 1.08 of fp32's time")


def test_8_bits_that_save_time_say_how_much():
    form = worthwhile(Form(b"int8", "int8", "int8 loses little"), b"fp32", 0.4, 1.0)
    assert form == Form(b"int8", "int8", "int8 loses little and takes 0.40 of fp32's time")


def test_fp16_need_not_be_faster_here():
    form = Form(b"fp16", "fp16", "fp16 loses little")
    assert worthwhile(form, b"fp32", 1.3, 1.0) == form


class Upscale(nn.Module):
    """Two wide convolutions beside a branch that carries the image, ×2."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(channels)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x):
        residual = self.tail(self.body(self.head(x).relu()).relu())
        return self.shuffle(x.repeat_interleave(4, 1) + 0.1 * residual)


def drafted(name, channels=0, **changes):
    module = Upscale(channels).eval() if channels else None
    facts = {"backbone": "test", "depth": 1, "radius": 3, "macs": 100.0 * channels + 1}
    return ExpertDraft(name=name, **facts, **({"module": module} | changes))


def made(*experts, lower=None):
    draft = SimpleNamespace(experts=experts, scale=SCALE)
    return make_experts(draft, lower, lambda _: None)


@pytest.fixture(scope="module")
def ladder():
    """Two fp32 experts, the larger one with an 8-bit form as a rung of its own; int8 is wished."""
    return made(
        drafted("small", 4),
        drafted("large-int8", graph=quantize_module(Upscale(32), SEEN), exact="large"),
        drafted("large", 32),
        lower=Lower(precision="int8", seen=SEEN, judges=judged(network(), 0.05)),
    )


def test_an_8_bit_rung_names_the_exact_form_and_its_cost(ladder):
    small, eight, large = ladder.entries
    assert (eight.precision, eight.graph) == ("int8", "experts/large-int8.onnx")
    assert (eight.exact, eight.exact_cost) == (large.graph, large.cost)
    assert eight.reason == "the 8-bit form of large"
    assert (small.exact, large.exact, large.precision) == (None, None, "fp32")


def test_the_dearest_running_expert_costs_one(ladder):
    assert max(expert.cost for expert in ladder.entries) == 1


def test_a_rung_is_compared_with_its_exact_form(ladder):
    assert ladder.parity["experts/large.onnx"] < 1e-4
    assert 0 < ladder.parity["experts/large-int8.onnx"] < 0.1
    assert set(ladder.parity) == set(ladder.files)


def test_a_rung_that_is_another_network_is_refused():
    wrong = network(tail=np.full((12, 8, 3, 3), 1.0))
    with pytest.raises(ExportError, match="large-int8: its answers differ from those in fp32"):
        made(drafted("large", 8), drafted("large-int8", graph=wrong, exact="large"))


def test_a_rung_of_an_unknown_expert_is_refused():
    with pytest.raises(ExportError, match=r'large-int8: no fp32 expert named "larg".*"large"'):
        made(drafted("large", 8), drafted("large-int8", graph=b"", exact="larg"))


def test_an_expert_that_has_an_8_bit_rung_is_not_lowered_again(ladder):
    assert ladder.entries[2].reason == "large-int8 is its 8-bit form"
    names = {"small", "large", "large-int8"}
    assert set(ladder.files) == {f"experts/{name}.onnx" for name in names}


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """A bundle whose larger expert was exported in fp16."""
    experts = made(
        drafted("large", 16),
        lower=Lower(precision="fp16", seen=(), judges=judged(network(), 0.05)),
    )
    entries = [expert("cheap", 0.01, 3.0, 0), *(entry.model_dump() for entry in experts.entries)]
    return write_upscaler(
        tmp_path_factory.mktemp("bundle") / "halved",
        experts.files,
        experts=entries,
        routes={"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["large"]}},
    )


def test_a_lowered_expert_ships_beside_its_exact_form(halved):
    large = halved.manifest.expert("large")
    assert (large.graph, large.precision) == ("experts/fp16/large.onnx", "fp16")
    assert large.exact == "experts/large.onnx"
    assert large.exact_cost > 0
    assert large.reason.startswith("fp16 loses ")
    assert {large.graph, large.exact} <= set(halved.manifest.files)


def test_a_manifest_with_forms_survives_writing_and_reading(halved):
    assert read_manifest(halved.directory) == halved.manifest


def test_a_lowered_bundle_upscales(halved):
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    assert Engine(halved, "cpu").upscale(image, effort=1).pixels.shape == (40, 60, 3)


def test_a_changed_exact_form_is_found(halved, tmp_path):
    path = halved.directory / "experts/large.onnx"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"x")
    with pytest.raises(BundleError, match=r"experts/large\.onnx is not what"):
        Bundle.open(halved.directory)
    path.write_bytes(before)
