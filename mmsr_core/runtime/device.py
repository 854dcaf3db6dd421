"""Where graphs run, and refusing to pretend."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import AbstractContextManager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Self

from mmsr_core.errors import BundleError, DeviceError, MmsrError, OutOfMemory
from mmsr_core.runtime.cgroup import usable_cores
from mmsr_core.runtime.graphcheck import check_graph
from mmsr_core.runtime.memory import free_memory

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
QUIET = 4  # only fatal messages: what matters is raised
LOUD = 2  # warnings as well: what ONNX Runtime starts with

_PROVIDERS = {"cpu": CPU, "openvino": OPENVINO, "cuda": CUDA, "tensorrt": TENSORRT}
_MISSING = {
    "openvino": ("OpenVINO", "install onnxruntime-openvino in the place of onnxruntime"),
    "cuda": ("CUDA", "install mmsr[gpu]"),
    "tensorrt": ("TensorRT", "install mmsr[gpu] and tensorrt"),
}
_ASKED = re.compile(r"(auto|cpu|openvino|cuda|tensorrt)(?::(\d+))?")
_OUT_OF_MEMORY = re.compile(
    r"failed to allocate|available memory of \d+ is smaller|bad[ _]alloc|out[ _]?of[ _]?memory|"
    r"alloc_failed|memoryallocation",
    re.I,
)


@dataclass(frozen=True)
class Device:
    """Where graphs run, and why there."""

    name: str
    """cpu, openvino, cuda:n or tensorrt:n."""
    reason: str

    @classmethod
    def choose(cls, asked: str, probe: bytes) -> Self:
        """The device for what was asked; DeviceError when it isn't there.

        `auto` is CUDA where it works, else the CPU: OpenVINO has to prove itself on a machine,
        and TensorRT takes minutes before its first answer. A device counts as there when ONNX
        Runtime has really placed the graph `probe` on it: the list of available providers only
        says what the package was built with.
        """
        match = _ASKED.fullmatch(asked)
        if not match or (match[2] and match[1] not in ("cuda", "tensorrt")):
            raise DeviceError(
                f'no device "{asked}"; there are auto, cpu, openvino, cuda, cuda:N, tensorrt and '
                "tensorrt:N"
            )
        kind = "cuda" if asked == "auto" else match[1]
        number = f":{match[2] or 0}" if kind in ("cuda", "tensorrt") else ""
        device = cls(kind + number, "it is there" if asked == "auto" else "asked for")
        problem = "" if kind == "cpu" else device._problem(probe)
        if not problem:
            return device
        if asked == "auto":
            return cls("cpu", problem)
        _, remedy = _MISSING[kind]
        raise DeviceError(f"--device {asked}: {problem}; use --device cpu, or {remedy}")

    @property
    def kind(self) -> str:
        """The name without the number of the GPU."""
        return self.name.partition(":")[0]

    @property
    def number(self) -> int:
        """Which of several GPUs."""
        return int(self.name.partition(":")[2] or 0)

    @property
    def is_gpu(self) -> bool:
        """Whether graphs run on a GPU."""
        return self.kind in ("cuda", "tensorrt")

    @property
    def batch_pixels(self) -> int:
        """LR pixels worth one run: a GPU wants batches, a CPU gains nothing from them."""
        return 2**20 if self.is_gpu else 0

    @property
    def turn(self) -> AbstractContextManager[Any]:
        """To be held during a run: on a GPU one at a time, on a CPU as many as there are.

        ONNX Runtime can't capture a CUDA graph while another thread talks to the GPU.
        """
        return _turn(self.number) if self.is_gpu else nullcontext()

    def open(
        self,
        graph: bytes,
        origin: str,
        threads: int | None = None,
        lasting: bool = False,
        half: bool = False,
    ) -> Any:
        """An ONNX Runtime session of `graph` on this device and no other; see `Session`.

        Raises BundleError when the graph isn't safe (see `check_graph`) or ONNX Runtime can't open
        it, OutOfMemory when it doesn't fit, DeviceError when it would run on something else.
        """
        check_graph(graph, origin)
        ort = onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = QUIET
        # ONNX Runtime counts physical cores; on shared and virtual machines it counts too few,
        # and in a container with a quota too many.
        options.intra_op_num_threads = threads or usable_cores()
        # Every session has its own threads, and by default they spin for a while after a run: on
        # few cores the last expert's would hold up the next one's. Measured, 2 cores: a third off.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not self.is_gpu:
            _share_arena()
            options.add_session_config_entry("session.use_env_allocators", "1")
        providers = self.providers(graph, options.intra_op_num_threads, lasting, half)
        # Custom operators would be code from strangers: none are registered, so none can run.
        # Without enable_fallback=0 a failing provider is replaced by the CPU, with a mere print.
        try:
            session = ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
        except Exception as error:  # ONNX Runtime's own exceptions share no useful base
            if "enable_cuda_graph" in providers[0][1]:  # not every graph can be captured
                return self.open(graph, origin, threads)
            raise self.refusal(error, origin, "ONNX Runtime can't open it") from None
        if (got := session.get_providers()[0]) != providers[0][0]:
            name, _ = _MISSING[self.kind]
            raise DeviceError(
                f"{origin}: asked for {self.name}, got {got}; use --device cpu, or mend the "
                f"{name} installation"
            )
        return session

    def providers(
        self, graph: bytes, threads: int, lasting: bool, half: bool
    ) -> list[tuple[str, dict[str, str]]]:
        """What ONNX Runtime is asked for, the first being what has to be got.

        What takes its time to prepare is for lasting graphs: others run on the plain provider of
        the same machine.
        """
        cpu: tuple[str, dict[str, str]] = (CPU, {})
        if self.kind == "openvino" and lasting:
            options = {"device_type": "CPU", "precision": "FP32", "num_of_threads": str(threads)}
            return [(OPENVINO, options), cpu]
        if not self.is_gpu:
            return [cpu]
        device = {"device_id": str(self.number)}
        cuda = device | {"cudnn_conv_algo_search": "HEURISTIC"}
        if lasting and self.kind == "tensorrt":
            return [(TENSORRT, device | _engines(graph, half)), (CUDA, cuda), cpu]
        if lasting:
            cuda |= {"enable_cuda_graph": "1"}
        return [(CUDA, cuda), cpu]

    def refusal(self, error: Exception, origin: str, what: str) -> MmsrError:
        """ONNX Runtime's exception as ours: OutOfMemory when that is what it says."""
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            return OutOfMemory(
                f"{origin}: out of memory on {self.name}; free some of it, or use a smaller image"
            )
        line = (str(error).splitlines() or [type(error).__name__])[0]
        return BundleError(f"{origin}: {what} ({line})")

    def _problem(self, probe: bytes) -> str:
        """Why this device can't be used; empty when it can."""
        ort = onnxruntime()
        name, _ = _MISSING[self.kind]
        if _PROVIDERS[self.kind] not in ort.get_available_providers():
            return f"this ONNX Runtime is built without {name}"
        if self.kind == "tensorrt":
            _tensorrt()
        ort.set_default_logger_severity(QUIET)
        try:
            with redirect_stdout(StringIO()):  # ONNX Runtime prints what it could not preload
                if self.is_gpu and hasattr(ort, "preload_dlls"):
                    ort.preload_dlls()  # CUDA and cuDNN from their wheels, where they come so
            self.open(probe, self.name, lasting=self.kind != "cuda")
        except (BundleError, DeviceError):
            return f"ONNX Runtime finds no working {self.name}"
        finally:
            ort.set_default_logger_severity(LOUD)
        return ""


def onnxruntime() -> Any:
    """The module; DeviceError with what to install where there is none."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"no ONNX Runtime that works here ({error}); install one: pip install 'mmsr[cpu]', or "
            "'mmsr[gpu]' for an NVIDIA GPU"
        ) from None
    return onnxruntime


@cache  # once per process: ONNX Runtime has one environment
def _share_arena() -> None:
    """Give all sessions one arena on the CPU.

    With an arena each, every expert keeps the most it ever needed. Measured with six experts and
    many window shapes: half the memory (342 MiB for 693), and a tenth less CPU time. It takes no
    more than is free now, so that a graph which asks for more is an error, not the end of us.
    """
    ort = onnxruntime()
    kind = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    info = ort.OrtMemoryInfo("Cpu", kind, 0, ort.OrtMemType.DEFAULT)
    with suppress(Exception):  # the program around us has put one there: that one, then
        ort.create_and_register_allocator(info, ort.OrtArenaCfg({"max_mem": free_memory()}))


@cache  # once per GPU, whoever opens sessions on it
def _turn(number: int) -> threading.Lock:
    return threading.Lock()


def _tensorrt() -> str:
    """TensorRT's version, its libraries being loaded where they come from its wheel."""
    try:
        return str(import_module("tensorrt").__version__)
    except ImportError:
        return "system"


def _engines(graph: bytes, half: bool) -> dict[str, str]:
    """TensorRT's options: its engines are kept, since building them takes minutes.

    ONNX Runtime names an engine after its graph's nodes, not its weights: two experts of one
    shape need folders of their own.
    """
    chosen = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    home = Path(chosen) if chosen else Path.home() / ".cache"
    folder = home / "mmsr" / f"tensorrt-{_tensorrt()}" / hashlib.sha256(graph).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder.parent),
        "trt_fp16_enable": "1" if half else "0",
    }
