import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from graphs import nearest, network

from mmsr_core.errors import BundleError, DeviceError, OutOfMemory
from mmsr_core.runtime.cgroup import usable_cores
from mmsr_core.runtime.device import CPU, CUDA, OPENVINO, TENSORRT, Device
from mmsr_core.runtime.session import Session


def providers(device, graph=b"", lasting=True, half=False):
    return Device(device, "").providers(graph, 3, lasting, half)


class Obeys(onnxruntime.InferenceSession):
    """ONNX Runtime as if every provider were there; it runs on the CPU all the same."""

    asked: tuple = ()

    def __init__(self, model, options, providers, enable_fallback):
        self.asked, self.options = providers, options
        super().__init__(model, options, providers=[CPU], enable_fallback=enable_fallback)

    def get_providers(self):
        return [name for name, _ in self.asked]


class FallsBack(Obeys):
    """ONNX Runtime on a machine without what it lists: it quietly takes the CPU."""

    def get_providers(self):
        return [CPU]


class RefusesCapture(Obeys):
    """ONNX Runtime given a graph of which a node has no CUDA kernel."""

    def __init__(self, model, options, providers, enable_fallback):
        if "enable_cuda_graph" in providers[0][1]:
            raise RuntimeError("This session cannot use the graph capture feature as requested")
        super().__init__(model, options, providers, enable_fallback)


@pytest.fixture
def lists(monkeypatch):
    """Make ONNX Runtime list these providers, and open sessions like so."""

    def arrange(kind, *names):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, CPU])
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
        monkeypatch.setattr(onnxruntime, "InferenceSession", kind)

    return arrange


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_cpu_is_there_when_asked_for():
    assert Device.choose("cpu", b"never looked at") == Device("cpu", "asked for")


def test_auto_without_cuda_is_the_cpu_and_says_why(lists):
    lists(Obeys)
    assert Device.choose("auto", nearest()) == Device(
        "cpu", "this ONNX Runtime is built without CUDA"
    )


def test_auto_is_cuda_where_it_works(lists):
    lists(Obeys, CUDA)
    assert Device.choose("auto", nearest()) == Device("cuda:0", "it is there")


def test_auto_takes_neither_tensorrt_nor_openvino(lists):
    lists(Obeys, TENSORRT, OPENVINO)
    assert Device.choose("auto", nearest()).name == "cpu"


@pytest.mark.parametrize(
    "asked",
    ["gpu", "cuda:", "cuda:x", "cpu:0", "auto:1", "CUDA", "", "openvino:0", "trt", "tensorrt:-1"],
)
def test_a_device_that_is_none_is_refused_with_those_that_are(asked):
    with pytest.raises(DeviceError) as caught:
        Device.choose(asked, nearest())
    assert str(caught.value) == (
        f'no device "{asked}"; there are auto, cpu, openvino, cuda, cuda:N, tensorrt and tensorrt:N'
    )


@pytest.mark.parametrize(
    ("asked", "name", "remedy"),
    [
        ("cuda", "CUDA", "mmsr[gpu]"),
        ("cuda:3", "CUDA", "mmsr[gpu]"),
        ("tensorrt:1", "TensorRT", "mmsr[gpu] and tensorrt"),
        ("openvino", "OpenVINO", "onnxruntime-openvino in the place of onnxruntime"),
    ],
)
def test_a_device_that_onnx_runtime_lacks_is_refused_with_what_to_install(
    lists, asked, name, remedy
):
    lists(Obeys)
    with pytest.raises(DeviceError) as caught:
        Device.choose(asked, nearest())
    assert str(caught.value) == (
        f"--device {asked}: this ONNX Runtime is built without {name}; "
        f"use --device cpu, or install {remedy}"
    )


@pytest.mark.parametrize("asked", ["cuda", "tensorrt", "openvino"])
@pytest.mark.usefixtures("cache")
def test_a_device_that_is_listed_but_not_got_is_refused(lists, asked):
    lists(FallsBack, CUDA, TENSORRT, OPENVINO)
    with pytest.raises(DeviceError, match=f"finds no working {asked}[:0]*; use --device cpu"):
        Device.choose(asked, nearest())


def test_what_onnx_runtime_prints_while_it_looks_for_a_gpu_is_kept_from_the_user(
    monkeypatch, lists, capfd
):
    lists(FallsBack, CUDA)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("no libcublas"), raising=False)
    Device.choose("auto", nearest())
    assert capfd.readouterr() == ("", "")


def test_auto_takes_the_cpu_where_cuda_is_listed_but_not_got(lists):
    lists(FallsBack, CUDA)
    assert Device.choose("auto", nearest()).name == "cpu"


def test_a_session_never_runs_on_another_device_than_asked(lists):
    lists(FallsBack)
    with pytest.raises(DeviceError, match=f"asked for cuda:1, got {CPU}; use --device cpu"):
        Session(nearest(), Device("cuda:1", ""), "expert")


def test_a_gpu_is_asked_for_by_its_number():
    (name, options), fallback = providers("cuda:2")
    assert (name, options["device_id"], fallback) == (CUDA, "2", (CPU, {}))


def test_cuda_graphs_are_for_what_lasts():
    (_, lasting), _ = providers("cuda:0", lasting=True)
    (_, passing), _ = providers("cuda:0", lasting=False)
    assert "enable_cuda_graph" in lasting
    assert "enable_cuda_graph" not in passing


def test_a_graph_that_cannot_be_captured_is_opened_without(lists):
    lists(RefusesCapture)
    session = Device("cuda:0", "").open(nearest(), "expert", lasting=True)
    assert session.get_providers() == [CUDA, CPU]


def test_openvino_is_for_what_lasts():
    (name, options), fallback = providers("openvino")
    assert (name, options["num_of_threads"], fallback) == (OPENVINO, "3", (CPU, {}))
    assert providers("openvino", lasting=False) == [(CPU, {})]


@pytest.mark.usefixtures("cache")
def test_tensorrt_is_for_what_lasts():
    assert [name for name, _ in providers("tensorrt:1")] == [TENSORRT, CUDA, CPU]
    assert [name for name, _ in providers("tensorrt:1", lasting=False)] == [CUDA, CPU]


def test_tensorrt_keeps_the_engines_of_two_graphs_apart(cache):
    folders = [
        Path(providers("tensorrt:0", graph)[0][1]["trt_engine_cache_path"])
        for graph in (network(1), network(2), network(1))
    ]
    assert folders[0] == folders[2] != folders[1]
    assert all(folder.is_dir() and folder.is_relative_to(cache) for folder in folders)


@pytest.mark.usefixtures("cache")
def test_tensorrt_computes_in_fp16_only_what_the_graph_does():
    options = [providers("tensorrt:0", half=half)[0][1] for half in (True, False)]
    assert [found["trt_fp16_enable"] for found in options] == ["1", "0"]


def test_only_a_gpu_wants_batches():
    assert Device("cpu", "").batch_pixels == Device("openvino", "").batch_pixels == 0
    assert Device("cuda:0", "").batch_pixels == Device("tensorrt:0", "").batch_pixels > 0


def test_a_missing_onnx_runtime_names_the_extras(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError) as caught:
        Session(nearest(), Device("cpu", ""), "expert")
    message = str(caught.value)
    assert "pip install 'mmsr[cpu]', or 'mmsr[gpu]'" in message
    assert "\n" not in message


def test_a_session_has_as_many_threads_as_the_process_may_keep_busy(lists):
    lists(Obeys)
    device = Device("cpu", "")
    assert device.open(nearest(), "expert").options.intra_op_num_threads == usable_cores()
    assert device.open(nearest(), "expert", threads=5).options.intra_op_num_threads == 5


def test_sessions_on_the_cpu_share_their_memory(lists):
    lists(Obeys)
    entries = [
        Device(name, "").open(nearest(), "expert").options for name in ("cpu", "cpu", "openvino")
    ]
    assert {one.get_session_config_entry("session.use_env_allocators") for one in entries} == {"1"}


OUT_OF_MEMORY = [
    "bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to "
    "allocate memory for requested buffer of size 939524096",
    "Non-zero status code returned while running Conv node. Status Message: std::bad_alloc",
    "bad allocation",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; expr=cudaMalloc((void**)&p, size);",
    "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    "[tensorrt] Error Code 2: OutOfMemory (Requested size was 1073741824 bytes.)",
]


@pytest.mark.parametrize("error", [*map(RuntimeError, OUT_OF_MEMORY), MemoryError()], ids=repr)
def test_running_out_of_memory_is_told_apart(error):
    refusal = Device("cuda:0", "").refusal(error, "c64d8", "can't run it")
    assert type(refusal) is OutOfMemory
    assert str(refusal).startswith("c64d8: out of memory on cuda:0; ")


@pytest.mark.parametrize(
    "error", [RuntimeError("Invalid rank for input: tiles\nGot: 3"), RuntimeError("")], ids=repr
)
def test_any_other_failure_is_the_bundles_in_one_line(error):
    refusal = Device("cpu", "").refusal(error, "c64d8", "can't run it")
    assert type(refusal) is BundleError
    assert "\n" not in str(refusal)


@pytest.mark.skipif(
    OPENVINO not in onnxruntime.get_available_providers(), reason="needs onnxruntime-openvino"
)
def test_openvino_answers_as_the_cpu_does():
    tiles = np.random.default_rng(0).random((1, 3, 24, 17), np.float32)
    cpu, openvino = (
        Session(network(), Device.choose(name, network()), name, lasting=True).run(
            tiles, "upscaled", (1, 3, 48, 34)
        )
        for name in ("cpu", "openvino")
    )
    np.testing.assert_allclose(openvino, cpu, atol=1e-5)
