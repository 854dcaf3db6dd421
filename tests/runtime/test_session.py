import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from graphs import graph, nearest, network, router
from onnx import helper

from mmsr_core.errors import BundleError, NotFinite, OutOfMemory
from mmsr_core.runtime.session import Device, Session

ON_CPU = Device("cpu", "asked for")
TILES = np.ones((1, 3, 4, 5), np.float32)


@pytest.mark.parametrize("data", [b"", b"hello", nearest()[:100]], ids=["empty", "text", "cut"])
def test_what_is_not_onnx_is_refused_with_one_line(data):
    with pytest.raises(BundleError, match=r"^the expert: not an ONNX graph") as caught:
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


def test_an_answer_that_is_not_finite_is_refused():
    session = Session(nearest(gain=3e38), ON_CPU, "expert")
    with pytest.raises(NotFinite, match="expert: upscaled is not finite"):
        session.run(2 * TILES, "upscaled", (1, 3, 8, 10))


@pytest.mark.parametrize("gain", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused_before_anything_runs(gain):
    with pytest.raises(BundleError, match='expert: its weight "w" is not finite'):
        Session(nearest(gain=gain), ON_CPU, "expert")


def test_a_graph_that_takes_no_tiles_is_refused():
    node = helper.make_node("Identity", ["tiles"], ["upscaled"])
    with pytest.raises(BundleError, match=r"expert: the graph takes tensor\(float\) of shape"):
        Session(graph([node], {}, ("tiles", 2), ("upscaled", 2)), ON_CPU, "expert")


def test_a_graph_that_asks_for_more_than_is_free_is_an_error_and_no_end():
    node = helper.make_node("Expand", ["tiles", "shape"], ["upscaled"])
    data = graph([node], {"shape": np.array([1, 3, 2**20, 2**20])}, ("tiles", 4), ("upscaled", 4))
    with pytest.raises(OutOfMemory, match="out of memory on cpu"):
        Session(data, ON_CPU, "expert").run(np.ones((1, 3, 1, 1), np.float32), "upscaled", ())


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


def greedy():
    """A graph whose answer is, along each axis, the fourth power of its input."""
    nodes = [
        helper.make_node("Shape", ["tiles"], ["lengths"]),
        helper.make_node("Pow", ["lengths", "four"], ["powers"]),
        helper.make_node("ConstantOfShape", ["powers"], ["upscaled"]),
    ]
    return graph(nodes, {"four": np.array([4])}, ("tiles", 4), ("upscaled", 4))


def test_a_graph_that_needs_more_memory_than_there_is_says_so_and_goes_on_with_less():
    session = Session(greedy(), ON_CPU, "expert")
    with pytest.raises(OutOfMemory) as caught:  # 2**55 bytes
        session.run(np.ones((1, 2, 64, 64), np.float32), "upscaled", (1, 16, 2**24, 2**24))
    assert str(caught.value) == (
        "expert: out of memory on cpu; free some of it, or use a smaller image"
    )
    assert session.run(np.ones((1, 2, 2, 2), np.float32), "upscaled", (1, 16, 16, 16)).size == 4096


def test_many_threads_get_the_answers_that_one_gets():
    session = Session(network(), ON_CPU, "expert", threads=1)
    images = np.random.default_rng(0).random((24, 1, 3, 40, 30), np.float32)

    def run(image):
        return session.run(image, "upscaled", (1, 3, 80, 60))

    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(run, images))
    np.testing.assert_array_equal(together, [run(image) for image in images])


def test_two_sessions_do_not_write_into_each_others_answers():
    one, other = Session(nearest(), ON_CPU, "one"), Session(nearest(gain=2), ON_CPU, "other")
    ones = one.run(TILES, "upscaled", (1, 3, 8, 10))
    twos = other.run(TILES, "upscaled", (1, 3, 8, 10))
    assert (ones == 1).all()
    assert (twos == 2).all()


class Crowded(onnxruntime.InferenceSession):
    """A GPU that counts how many are at it at once; it is a CPU."""

    crowd = most = 0

    def __init__(self, model, options, providers, enable_fallback):
        self.asked = [name for name, _ in providers]
        super().__init__(model, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return self.asked

    def run(self, *args):
        Crowded.crowd += 1
        Crowded.most = max(Crowded.most, Crowded.crowd)
        threading.Event().wait(0.01)
        answer = super().run(*args)
        Crowded.crowd -= 1
        return answer


@pytest.mark.parametrize(("name", "together"), [("cuda:0", False), ("cpu", True)])
def test_the_sessions_of_a_gpu_take_turns_and_those_of_a_cpu_do_not(monkeypatch, name, together):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Crowded)
    monkeypatch.setattr(Crowded, "most", 0)
    sessions = [Session(nearest(), Device(name, ""), "expert") for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        runs = [
            threads.submit(session.run, TILES, "upscaled", (1, 3, 8, 10))
            for session in sessions * 4
        ]
    assert all((run.result() == 1).all() for run in runs)
    assert (Crowded.most > 1) == together
