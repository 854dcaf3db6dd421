import numpy as np
import onnx
import pytest
from forms import answer, network, photographs, tensors
from graphs import graph
from onnx import TensorProto, helper

from mmsr_core.errors import ExportError, NotFinite
from mmsr_onnx.half import halve


def test_the_fp16_form_answers_nearly_as_the_network():
    exact, tiles = network(), photographs(1)[0]
    difference = np.abs(answer(halve(exact), tiles) - answer(exact, tiles))
    assert 0 < difference.max() < 1e-3


def test_input_and_output_stay_float32():
    model = onnx.load_from_string(halve(network())).graph
    kinds = {value.type.tensor_type.elem_type for value in (*model.input, *model.output)}
    assert kinds == {TensorProto.FLOAT}


def test_the_wide_convolutions_have_half_the_bytes_and_no_others():
    weights = tensors(halve(network()))
    halved = {name for name, value in weights.items() if value.dtype == np.float16}
    assert halved == {"first/half", "first_bias/half", "second/half", "tail/half"}
    assert {"linear", "head", "head_bias"} == weights.keys() - halved


def test_the_image_passes_in_full_precision():
    exact = network(tail=np.zeros((12, 8, 3, 3)))
    tiles = np.random.default_rng(0).random((1, 3, 9, 9), np.float32)
    np.testing.assert_array_equal(answer(halve(exact), tiles), answer(exact, tiles))


def test_a_weight_beyond_fp16_shows_in_the_answer():
    exact = network(first=np.full((8, 8, 3, 3), 1e6))
    with pytest.raises(NotFinite):
        answer(halve(exact), photographs(1)[0])


def test_an_operator_between_that_needs_float32_keeps_it():
    rng = np.random.default_rng(0)
    weights = {
        "head": rng.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32),
        "wide": rng.normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32),
        "tail": rng.normal(0, 0.1, (3, 8, 3, 3)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["tiles", "head"], ["headed"], pads=[1] * 4),
        helper.make_node("Conv", ["headed", "wide"], ["small"], pads=[1] * 4),
        helper.make_node("Resize", ["small", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Conv", ["large", "tail"], ["upscaled"], pads=[1] * 4),
    ]
    exact = graph(nodes, weights, ("tiles", 4), ("upscaled", 4))
    tiles = photographs(1)[0]
    np.testing.assert_allclose(answer(halve(exact), tiles), answer(exact, tiles), atol=2e-3)


def test_halving_twice_gives_the_same_bytes():
    assert halve(network()) == halve(network())


def test_a_network_without_a_wide_convolution_is_refused():
    with pytest.raises(ExportError, match="no convolution has 8 input channels or more"):
        halve(network(channels=7))
