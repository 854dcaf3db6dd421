"""Runs on a GPU in buffers that stay, with a CUDA graph for every shape that comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.device import onnxruntime

KEPT = 2**28
"""Bytes of buffers that a session keeps, if the latest shape alone doesn't need more."""
CAPTURES = 32
"""CUDA graphs that a session captures: ONNX Runtime doesn't let go of them."""
NO_CAPTURE = "-1"

Floats = npt.NDArray[np.float32]
Key = tuple[tuple[int, ...], str, tuple[int, ...]]


@dataclass(frozen=True)
class _Slot:
    """Buffers of one shape, bound to a session's input and output."""

    from_host: Any
    to_host: Any
    binding: Any
    size: int
    capture: str = NO_CAPTURE
    """The name of the CUDA graph that these buffers belong to: it reads and writes no others."""


class Buffers:
    """The buffers of one session. One run at a time: its caller sees to that."""

    def __init__(self, session: Any, place: str, number: int) -> None:
        """For an ONNX Runtime session whose provider has its memory on `place` (cuda) `number`."""
        self._session = session
        self._place, self._number = place, number
        self._input = session.get_inputs()[0].name
        self._slots: dict[Key, _Slot] = {}  # the latest last
        self._names = iter([str(name) for name in range(1, CAPTURES + 1)])

    def run(self, array: Floats, output: str, shape: tuple[int, ...]) -> Floats:
        """The named output for one input: one copy to the device, one back.

        What ONNX Runtime raises is passed on, all buffers having been let go of. A run that was
        captured is first tried again without: a CUDA graph saves a little time, and no more.
        """
        key = array.shape, output, shape
        try:
            return self._run(self._slot(key), array)
        except Exception:
            failed = self._slots.get(key)
            self._slots.clear()
            if failed is None or failed.capture == NO_CAPTURE:
                raise
        self._names = iter([])
        return self.run(array, output, shape)

    def _run(self, slot: _Slot, array: Floats) -> Floats:
        # ONNX Runtime copies bytes as they lie, whatever they mean.
        slot.from_host.update_inplace(np.ascontiguousarray(array, np.float32))
        options = onnxruntime().RunOptions()
        options.add_run_config_entry("gpu_graph_id", slot.capture)
        self._session.run_with_iobinding(slot.binding, options)
        answer: Floats = slot.to_host.numpy()  # a copy, since it lies on the device
        return answer

    def _slot(self, key: Key) -> _Slot:
        """The buffers for a shape: named for capture once it comes back, the oldest making way."""
        slot = self._slots.pop(key, None)
        if slot is None:
            slot = self._allocated(*key)
        elif slot.capture == NO_CAPTURE:
            slot = replace(slot, capture=next(self._names, NO_CAPTURE))
        self._slots[key] = slot
        return slot

    def _allocated(self, given: tuple[int, ...], output: str, answer: tuple[int, ...]) -> _Slot:
        size = 4 * (prod(given) + prod(answer))
        while self._slots and size + sum(slot.size for slot in self._slots.values()) > KEPT:
            del self._slots[next(iter(self._slots))]
        memory = onnxruntime().OrtValue
        where = np.float32, self._place, self._number
        from_host = memory.ortvalue_from_shape_and_type(given, *where)
        to_host = memory.ortvalue_from_shape_and_type(answer, *where)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, from_host)
        binding.bind_ortvalue_output(output, to_host)
        return _Slot(from_host, to_host, binding, size)
