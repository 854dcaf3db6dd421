"""How much memory an expert holds while it runs, measured in a process of its own."""

import os
import subprocess
import sys

import numpy as np

from mmsr_core.errors import ExportError
from mmsr_core.measure.bench.footprint import peak_memory
from mmsr_core.runtime.session import Device, Session

SMALL, LARGE = 32, 512
"""Sides of two inputs: between them lies what grows with the image."""


def measure_memory(graph: bytes, scale: int, what: str) -> float | None:
    """Bytes that a run of `graph` on a CPU holds per LR pixel, its input and answer included.

    None where the system doesn't tell. Raises ExportError when the graph can't be run.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(scale)],
        input=graph,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ExportError(f"{what}: fails in a process of its own ({''.join(reason)})")
    held = float(done.stdout)
    return held if held > 0 else None


def _held(graph: bytes, scale: int) -> float:
    session = Session(graph, Device("cpu", "memory is measured there"), "expert")
    peaks = []
    for side in (SMALL, LARGE):
        image = np.zeros((1, 3, side, side), np.float32)
        session.run(image, session.outputs[0], (1, 3, side * scale, side * scale))
        peaks.append(peak_memory() or 0)
    return (peaks[1] - peaks[0]) / (LARGE**2 - SMALL**2)


if __name__ == "__main__":
    sys.stdout.write(str(_held(sys.stdin.buffer.read(), int(sys.argv[1]))))
