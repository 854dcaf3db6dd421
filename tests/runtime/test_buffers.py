"""A GPU's buffers, on the CPU: what ONNX Runtime does with them is the same, but for capturing."""

import numpy as np
import onnxruntime
import pytest
from graphs import nearest, network

from mmsr_core.runtime import buffers as module
from mmsr_core.runtime.buffers import Buffers

SMALL, LARGE = (1, 3, 4, 5), (2, 3, 6, 7)


class Watched:
    """A session that notes the buffers and the CUDA graph of every run, and fails when told."""

    def __init__(self, data):
        self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.get_inputs = self.session.get_inputs
        self.io_binding = self.session.io_binding
        self.bindings, self.graphs = [], []
        self.fails = lambda graph: False

    def run_with_iobinding(self, binding, options):
        self.bindings.append(binding)
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        if self.fails(self.graphs[-1]):
            raise RuntimeError("CUDA error 900")
        self.session.run_with_iobinding(binding, options)


@pytest.fixture
def session():
    return Watched(nearest())


@pytest.fixture
def fixed(session):
    return Buffers(session, "cpu", 0)


def upscaled(fixed, shape, value=1.0):
    n, channels, height, width = shape
    tiles = np.full(shape, value, np.float32)
    answer = fixed.run(tiles, "upscaled", (n, channels, 2 * height, 2 * width))
    return np.array(answer)  # on a CPU, unlike a GPU, it is the buffer itself


def test_the_answers_are_those_of_a_plain_run():
    session = onnxruntime.InferenceSession(network(), providers=["CPUExecutionProvider"])
    fixed = Buffers(session, "cpu", 0)
    tiles = np.random.default_rng(0).random((3, 2, 3, 9, 8), np.float32)
    for batch in tiles:
        answer = fixed.run(batch, "upscaled", (2, 3, 18, 16))
        np.testing.assert_array_equal(answer, session.run(None, {"tiles": batch})[0])


def test_an_input_may_lie_in_memory_as_it_likes(fixed, session):
    image = np.random.default_rng(0).random((5, 4, 3))  # doubles, the colours last
    tiles = image.transpose(2, 1, 0)[None]
    answer = np.array(fixed.run(tiles, "upscaled", (1, 3, 8, 10)))
    np.testing.assert_array_equal(answer[..., ::2, ::2], tiles.astype(np.float32))


def test_a_shape_that_comes_back_finds_its_buffers(fixed, session):
    values = [upscaled(fixed, SMALL, value).mean() for value in (1, 2, 3)]
    assert values == [1, 2, 3]
    assert session.bindings[0] is session.bindings[1] is session.bindings[2]


def test_a_shape_is_captured_once_it_comes_back_and_no_two_share_a_graph(fixed, session):
    for shape in (SMALL, LARGE, SMALL, LARGE, LARGE, SMALL):
        upscaled(fixed, shape)
    assert session.graphs == ["-1", "-1", "1", "2", "2", "1"]


def test_no_more_graphs_are_captured_than_agreed(monkeypatch, session):
    monkeypatch.setattr(module, "CAPTURES", 1)
    fixed = Buffers(session, "cpu", 0)
    for shape in (SMALL, SMALL, LARGE, LARGE):
        upscaled(fixed, shape)
    assert session.graphs == ["-1", "1", "-1", "-1"]


def test_the_oldest_buffers_make_way(monkeypatch, fixed, session):
    monkeypatch.setattr(module, "KEPT", 4 * 5 * (np.prod(SMALL) + np.prod(LARGE)))
    for shape in (SMALL, LARGE, SMALL, (1, 3, 2, 2), LARGE, SMALL):
        upscaled(fixed, shape)
    first, second, third, _, fifth, _ = session.bindings
    assert first is third
    assert second is not fifth


def test_a_graph_is_not_named_anew_after_its_buffers(monkeypatch, fixed, session):
    monkeypatch.setattr(module, "KEPT", 0)
    for shape in (SMALL, SMALL, LARGE, SMALL, SMALL):
        upscaled(fixed, shape)
    assert session.graphs == ["-1", "1", "-1", "-1", "2"]


def test_a_capture_that_fails_is_run_without_and_not_tried_again(fixed, session):
    session.fails = lambda graph: graph != "-1"
    assert all((upscaled(fixed, SMALL, value) == value).all() for value in (1, 2, 3, 4))
    assert session.graphs == ["-1", "1", "-1", "-1", "-1"]


def test_a_run_that_fails_without_a_capture_is_the_callers_and_frees_the_buffers(fixed, session):
    upscaled(fixed, LARGE)
    session.fails = lambda graph: True
    with pytest.raises(RuntimeError, match="CUDA error 900"):
        upscaled(fixed, SMALL)
    session.fails = lambda graph: False
    upscaled(fixed, LARGE)
    assert session.bindings[0] is not session.bindings[2]


def test_buffers_that_do_not_fit_are_the_callers_and_free_the_others(fixed, session):
    upscaled(fixed, SMALL)
    with pytest.raises(MemoryError):
        fixed.run(np.ones(LARGE, np.float32), "upscaled", (2**10, 3, 2**20, 2**20))
    upscaled(fixed, SMALL)
    assert session.bindings[0] is not session.bindings[1]


def test_an_answer_of_another_shape_is_the_callers(fixed):
    with pytest.raises(RuntimeError, match="shape"):
        fixed.run(np.ones(SMALL, np.float32), "upscaled", (1, 3, 16, 20))
