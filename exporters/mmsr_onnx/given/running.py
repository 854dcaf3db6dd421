"""A graph that is being looked into, on the CPU."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.session import Device, Session

Floats = npt.NDArray[np.float32]
CPU = Device("cpu", "graphs are looked into there")


class Running:
    """An upscaler's graph with the input `tiles` and the output `upscaled`, ready to run."""

    def __init__(self, graph: bytes, scale: int, what: str) -> None:
        self._session = Session(graph, CPU, what)
        self._scale = scale

    def __call__(self, tiles: Floats) -> Floats:
        """Upscaled (n,3,s·h,s·w); BundleError when it is anything else, or not finite."""
        n, channels, height, width = tiles.shape
        shape = n, channels, height * self._scale, width * self._scale
        return self._session.run(tiles, "upscaled", shape)


def open_session(graph: bytes, what: str) -> Any:
    """ONNX Runtime's own session: for graphs of other inputs and outputs than an expert has."""
    return CPU.open(graph, what, None)
