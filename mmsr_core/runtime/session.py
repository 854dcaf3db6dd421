"""A graph on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import BundleError, NotFinite, no_such
from mmsr_core.runtime.buffers import Buffers
from mmsr_core.runtime.device import Device

__all__ = ["Device", "Session"]


class Session:
    """One graph with one input, ready to run from any thread; `outputs` names its answers."""

    def __init__(
        self,
        graph: bytes,
        device: Device,
        origin: str,
        threads: int | None = None,
        lasting: bool = False,
        half: bool = False,
    ) -> None:
        """Open `graph`; messages call it `origin`.

        `threads` work together on one run on a CPU: by default as many as this process may keep
        busy. `lasting` promises many runs on few shapes, as experts have, which are worth
        preparing for: a captured CUDA graph, a TensorRT engine, OpenVINO's compilation. `half`
        lets TensorRT compute in fp16, as a graph in fp16 wants. Raises BundleError when the
        graph isn't safe or ONNX Runtime can't open it, OutOfMemory when it doesn't fit,
        DeviceError when it would run elsewhere.
        """
        self._device = device
        self._origin = origin
        self._session = device.open(graph, origin, threads, lasting, half)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise BundleError(f"{origin}: the graph has {len(inputs)} inputs, not one")
        if inputs[0].type != "tensor(float)" or len(inputs[0].shape or ()) not in (4, 5):
            raise BundleError(
                f"{origin}: the graph takes {inputs[0].type} of shape {inputs[0].shape}, no tiles"
            )
        self._input = inputs[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        fixed = lasting and device.is_gpu
        self._buffers = Buffers(self._session, "cuda", device.number) if fixed else None

    def run(
        self, array: npt.NDArray[np.float32], output: str, shape: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        """The named output for one input array: float32, finite and of that shape.

        Raises OutOfMemory when the device has too little for so large an input, NotFinite when
        the answer has a NaN or an infinity, BundleError when it is anything else, or none.
        """
        if output not in self.outputs:
            raise BundleError(f"{self._origin}: {no_such('output', output, self.outputs, 'here')}")
        try:
            answer = self._answer(array, output, shape)
        except Exception as error:  # ONNX Runtime's own exceptions share no useful base
            what = f"ONNX Runtime can't run it on {array.shape}"
            raise self._device.refusal(error, self._origin, what) from None
        if not isinstance(answer, np.ndarray) or answer.dtype != np.float32:
            raise BundleError(f"{self._origin}: {output} is not a float32 tensor")
        if answer.shape != shape:
            raise BundleError(f"{self._origin}: {output} has shape {answer.shape}, not {shape}")
        with np.errstate(over="ignore"):
            total = answer.sum()  # one pass, no array of booleans
        if not np.isfinite(total):
            raise NotFinite(f"{self._origin}: {output} is not finite")
        return answer

    def _answer(self, array: npt.NDArray[np.float32], output: str, shape: tuple[int, ...]) -> Any:
        with self._device.turn:
            if self._buffers is not None:
                return self._buffers.run(array, output, shape)
            return self._session.run([output], {self._input: array})[0]
