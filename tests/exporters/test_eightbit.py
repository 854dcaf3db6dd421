import numpy as np
import onnx
import onnxruntime
import pytest
from forms import answer, network, photographs, tensors
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.errors import ExportError
from mmsr_onnx.eightbit import PIECE, WEIGHT_LIMIT, Steps, pieces, quantize

SEEN = photographs()


def optimized(graph, directory):
    """Operators that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(directory / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(directory / "optimized.onnx").graph.node
    return [node.op_type for node in nodes]


@pytest.mark.parametrize("shape", [(2, 3, 24, 24), (1, 3, 7, 50), (3, 3, 1, 1)])
def test_the_8_bit_form_answers_nearly_as_the_network(shape):
    exact = network()
    tiles = np.random.default_rng(1).uniform(0.2, 0.8, shape).astype(np.float32)
    difference = np.abs(answer(quantize(exact, SEEN), tiles) - answer(exact, tiles))
    assert 0 < difference.mean() < 0.005


def test_quantizing_twice_gives_the_same_bytes():
    assert quantize(network(), SEEN) == quantize(network(), SEEN)


def test_onnx_runtime_runs_every_wide_convolution_and_addition_in_8_bits(tmp_path):
    operators = optimized(quantize(network(), SEEN), tmp_path)
    assert (operators.count("QLinearConv"), operators.count("QLinearAdd")) == (3, 1)
    assert operators.count("Relu") == 0


def test_what_sees_the_image_itself_stays_in_fp32(tmp_path):
    graph = quantize(network(), SEEN)
    assert tensors(graph)["linear"].dtype == tensors(graph)["head"].dtype == np.float32
    assert "first" not in tensors(graph)


def test_weights_have_7_bits_and_a_scale_for_every_channel():
    weights = tensors(quantize(network(), SEEN))
    whole, scale = weights["wide/weight/whole"], weights["wide/weight/scale"]
    assert whole.dtype == np.int8
    assert set(np.abs(whole).reshape(8, -1).max(1)) == {WEIGHT_LIMIT}
    exact = tensors(network())["first"]
    np.testing.assert_allclose(
        whole * scale[:, None, None, None], exact, atol=0.51 * float(scale.max())
    )


def test_a_bias_without_weights_fits_its_32_bits():
    first = np.zeros((8, 8, 3, 3))
    first[1:] = 0.05
    exact = network(first=first, first_bias=np.r_[0.7, np.zeros(7)])
    tiles = photographs(1)[0]
    np.testing.assert_allclose(answer(quantize(exact, SEEN), tiles), answer(exact, tiles), atol=0.1)


def test_a_network_that_answers_zero_everywhere_is_quantized():
    exact = network(head=np.zeros((8, 3, 3, 3)), head_bias=np.zeros(8), first_bias=np.zeros(8))
    tiles = photographs(1)[0]
    np.testing.assert_array_equal(answer(quantize(exact, SEEN), tiles), answer(exact, tiles))


def test_a_few_values_far_out_do_not_widen_a_range():
    point = np.zeros((8, 3, 3, 3))
    point[..., 1, 1] = 0.2  # what one pixel is, one value of each channel is
    spoiled = np.full((1, 3, 120, 120), 0.5, np.float32)
    calm = tensors(quantize(network(head=point), [spoiled]))["trunk/scale"]
    spoiled[..., 0, 0] = 1000
    assert tensors(quantize(network(head=point), [spoiled]))["trunk/scale"] == calm


def test_every_image_counts_by_itself():
    calm, bright = (np.full((1, 3, 60, 60), value, np.float32) for value in (0.1, 0.9))
    alone = tensors(quantize(network(), [bright]))["trunk/scale"]
    assert tensors(quantize(network(), [calm] * 50 + [bright]))["trunk/scale"] == alone


def test_a_network_without_a_wide_convolution_is_refused():
    with pytest.raises(ExportError, match="no convolution has 8 input channels or more"):
        quantize(network(channels=7), SEEN)


@given(low=st.floats(-1e3, 1e3), span=st.floats(0, 1e3), place=st.floats(0, 1))
def test_a_value_within_a_range_is_half_a_step_away_at_most(low, span, place):
    steps = Steps.of(low, low + span)
    value = low + place * span
    number = np.clip(np.rint(value / steps.scale) + steps.zero, 0, 255)
    assert 0 <= steps.zero <= 255
    assert abs((number - steps.zero) * steps.scale - value) <= 1.01 * steps.scale


@given(height=st.integers(1, 3 * PIECE), width=st.integers(1, 3 * PIECE))
def test_pieces_are_small_and_hold_every_pixel_once(height, width):
    tile = np.broadcast_to(
        np.arange(height * width).reshape(1, 1, height, width), (1, 3, height, width)
    )
    found = list(pieces([tile]))
    assert max(max(piece.shape[2:]) for piece in found) <= PIECE
    values = np.concatenate([piece[0, 0].ravel() for piece in found])
    np.testing.assert_array_equal(np.sort(values), np.arange(height * width))
