"""A graph on a device, and refusing to pretend."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import BundleError, DeviceError, no_such

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
QUIET = 4  # only fatal messages: what matters is raised


@dataclass(frozen=True)
class Device:
    """Where graphs run, and why there."""

    name: str
    """cpu, or cuda:n."""
    reason: str

    @classmethod
    def choose(cls, asked: str, probe: bytes) -> Self:
        """The device for `auto`, `cpu`, `cuda` or `cuda:n`; DeviceError when it isn't there.

        A GPU counts as there when ONNX Runtime has really placed the graph `probe` on it: the
        list of available providers only says what the package was built with.
        """
        match = re.fullmatch(r"(auto|cpu|cuda)(?::(\d+))?", asked)
        if not match or (match[2] and match[1] != "cuda"):
            raise DeviceError(f'no device "{asked}"; there are auto, cpu, cuda and cuda:N')
        if asked == "cpu":
            return cls("cpu", "asked for")
        gpu = cls(f"cuda:{match[2] or 0}", "asked for" if asked != "auto" else "it is there")
        ort = _onnxruntime()
        if CUDA not in ort.get_available_providers():
            problem = "this ONNX Runtime is built without CUDA"
        else:
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()  # CUDA and cuDNN from their wheels, where they are installed so
            try:
                Session(probe, gpu, gpu.name)
                return gpu
            except (BundleError, DeviceError):
                problem = f"ONNX Runtime finds no working {gpu.name}"
        if asked == "auto":
            return cls("cpu", problem)
        raise DeviceError(f"--device {asked}: {problem}; use --device cpu, or install mmsr[gpu]")

    @property
    def is_gpu(self) -> bool:
        """Whether graphs run on a GPU."""
        return self.name != "cpu"

    @property
    def batch_pixels(self) -> int:
        """LR pixels worth one run: a GPU wants batches, a CPU gains nothing from them."""
        return 2**20 if self.is_gpu else 0

    def providers(self) -> list[Any]:
        """What ONNX Runtime is asked for."""
        if not self.is_gpu:
            return [CPU]
        options = {"device_id": self.name.partition(":")[2], "cudnn_conv_algo_search": "HEURISTIC"}
        return [(CUDA, options), CPU]


class Session:
    """One graph with one input, ready to run; `outputs` are the names of its answers."""

    def __init__(self, graph: bytes, device: Device, origin: str) -> None:
        """Open `graph`; BundleError when ONNX Runtime can't, DeviceError on another device."""
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = QUIET
        # ONNX Runtime counts physical cores; on shared and virtual machines it counts too few.
        options.intra_op_num_threads = _threads()
        self._origin = origin
        # Every session has its own threads, and by default they spin for a while after a run: on
        # few cores the last expert's would hold up the next one's. Measured, 2 cores: a third off.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Custom operators would be code from strangers: none are registered, so none can run.
        try:
            self._session = ort.InferenceSession(graph, options, providers=device.providers())
        except Exception as error:  # ONNX Runtime's own exceptions share no useful base
            raise BundleError(f"{origin}: ONNX Runtime can't open it ({_line(error)})") from None
        expected = CUDA if device.is_gpu else CPU
        if self._session.get_providers()[0] != expected:
            raise DeviceError(
                f"{origin}: asked for {device.name}, got the CPU; "
                "use --device cpu, or mend the CUDA installation"
            )
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise BundleError(f"{origin}: the graph has {len(inputs)} inputs, not one")
        self._input = inputs[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(
        self, array: npt.NDArray[np.float32], output: str, shape: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        """The named output for one input array: float32, finite and of that shape.

        Raises BundleError when the graph answers anything else, or nothing.
        """
        if output not in self.outputs:
            raise BundleError(f"{self._origin}: {no_such('output', output, self.outputs, 'here')}")
        try:
            answer = self._session.run([output], {self._input: array})[0]
        except Exception as error:
            raise BundleError(
                f"{self._origin}: ONNX Runtime can't run it on {array.shape} ({_line(error)})"
            ) from None
        if not isinstance(answer, np.ndarray) or answer.dtype != np.float32:
            raise BundleError(f"{self._origin}: {output} is not a float32 tensor")
        if answer.shape != shape:
            raise BundleError(f"{self._origin}: {output} has shape {answer.shape}, not {shape}")
        if not np.isfinite(answer.sum()):  # one pass, no array of booleans
            raise BundleError(f"{self._origin}: {output} is not finite")
        return answer


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"no ONNX Runtime that works here ({error}); install one: pip install 'mmsr[cpu]', or "
            "'mmsr[gpu]' for an NVIDIA GPU"
        ) from None
    return onnxruntime


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
