import sys

import numpy as np
import onnxruntime
import pytest
from graphs import graph, nearest, router
from onnx import helper

from mmsr_core.errors import BundleError, DeviceError
from mmsr_core.runtime.session import CPU, CUDA, Device, Session

ON_CPU = Device("cpu", "asked for")
TILES = np.ones((1, 3, 4, 5), np.float32)


def test_the_cpu_is_there_when_asked_for():
    assert Device.choose("cpu", b"never looked at") == ON_CPU


def test_auto_without_cuda_is_the_cpu_and_says_why(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert Device.choose("auto", nearest()) == Device(
        "cpu", "this ONNX Runtime is built without CUDA"
    )


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "cpu:0", "auto:1", "CUDA", ""])
def test_a_device_that_is_none_is_refused_with_those_that_are(asked):
    with pytest.raises(DeviceError, match=f'no device "{asked}"; there are auto, cpu'):
        Device.choose(asked, nearest())


@pytest.mark.parametrize("asked", ["cuda", "cuda:3"])
def test_cuda_is_refused_where_onnx_runtime_has_none(monkeypatch, asked):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(DeviceError) as caught:
        Device.choose(asked, nearest())
    assert str(caught.value).startswith(f"--device {asked}: this ONNX Runtime is built without")
    assert "\n" not in str(caught.value)


class FallsBack(onnxruntime.InferenceSession):
    """ONNX Runtime on a machine without a GPU: it lists CUDA, then quietly takes the CPU."""

    def __init__(self, model, options, providers):
        super().__init__(model, options, providers=[CPU])


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallsBack)


@pytest.mark.usefixtures("no_gpu")
def test_cuda_is_refused_where_it_is_listed_but_not_got():
    with pytest.raises(DeviceError, match="finds no working cuda:0; use --device cpu"):
        Device.choose("cuda", nearest())


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_the_cpu_where_cuda_is_listed_but_not_got():
    assert Device.choose("auto", nearest()).name == "cpu"


@pytest.mark.usefixtures("no_gpu")
def test_a_session_never_runs_on_another_device_than_asked():
    with pytest.raises(DeviceError, match="asked for cuda:1, got the CPU"):
        Session(nearest(), Device("cuda:1", "asked for"), "expert")


def test_a_gpu_is_asked_for_by_its_number():
    (name, options), fallback = Device("cuda:2", "asked for").providers()
    assert (name, options["device_id"], fallback) == (CUDA, "2", CPU)


def test_only_a_gpu_wants_batches():
    assert ON_CPU.batch_pixels == 0 < Device("cuda:0", "").batch_pixels


def test_a_missing_onnx_runtime_names_the_extras(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError) as caught:
        Session(nearest(), ON_CPU, "expert")
    message = str(caught.value)
    assert "pip install 'mmsr[cpu]', or 'mmsr[gpu]'" in message
    assert "\n" not in message


@pytest.mark.parametrize("data", [b"", b"hello", nearest()[:100]], ids=["empty", "text", "cut"])
def test_what_is_not_onnx_is_refused_with_one_line(data):
    with pytest.raises(BundleError, match=r"^the expert: ONNX Runtime can't open it") as caught:
        Session(data, ON_CPU, "the expert")
    assert "\n" not in str(caught.value)


def test_a_graph_with_two_inputs_is_refused():
    node = helper.make_node("Add", ["tiles", "more"], ["upscaled"])
    info = [helper.make_tensor_value_info(n, 1, [None] * 4) for n in ("tiles", "more", "upscaled")]
    model = helper.make_model(
        helper.make_graph([node], "test", info[:2], info[2:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(BundleError, match="2 inputs, not one"):
        Session(model.SerializeToString(), ON_CPU, "expert")


def test_a_graph_answers():
    answer = Session(nearest(), ON_CPU, "expert").run(TILES, "upscaled", (1, 3, 8, 10))
    assert (answer == 1).all()


def test_an_output_that_is_not_there_is_refused_with_those_that_are():
    session = Session(router([1.0], [0.0]), ON_CPU, "router")
    with pytest.raises(BundleError, match='no output named "probs"; here: errors, features'):
        session.run(TILES, "probs", (1, 1))


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(BundleError, match=r"upscaled has shape \(1, 3, 8, 10\), not \(1, 3, 16"):
        Session(nearest(), ON_CPU, "expert").run(TILES, "upscaled", (1, 3, 16, 20))


@pytest.mark.parametrize("gain", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_refused(gain):
    with pytest.raises(BundleError, match="upscaled is not finite"):
        Session(nearest(gain=gain), ON_CPU, "expert").run(TILES, "upscaled", (1, 3, 8, 10))


def test_an_answer_of_another_type_is_refused():
    node = helper.make_node("Cast", ["tiles"], ["upscaled"], to=helper.TensorProto.DOUBLE)
    given, answer = (
        helper.make_tensor_value_info(name, kind, [None] * 4)
        for name, kind in (("tiles", helper.TensorProto.FLOAT), ("upscaled", 11))
    )
    model = helper.make_model(
        helper.make_graph([node], "test", [given], [answer]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = Session(model.SerializeToString(), ON_CPU, "expert")
    with pytest.raises(BundleError, match="upscaled is not a float32 tensor"):
        session.run(TILES, "upscaled", TILES.shape)


def test_a_graph_that_fails_while_it_runs_is_refused_with_one_line():
    node = helper.make_node("Reshape", ["tiles", "shape"], ["upscaled"])
    data = graph([node], {"shape": np.array([7, 1, 1, 1])}, ("tiles", 4), ("upscaled", 4))
    with pytest.raises(BundleError, match=r"can't run it on \(1, 3, 4, 5\)") as caught:
        Session(data, ON_CPU, "expert").run(TILES, "upscaled", TILES.shape)
    assert "\n" not in str(caught.value)
