"""What an expert costs: time, measured where the graph runs."""

import time
from collections.abc import Mapping

import numpy as np

from mmsr_core.runtime.session import Device, Session

SIDE = 256
ROUNDS = 10
CHEAPEST = 1e-4
"""No expert is free: a plan that thinks so would never choose another."""


def measure_seconds(graphs: Mapping[str, bytes], scale: int) -> dict[str, float]:
    """Time of every graph, name → seconds, on one CPU input of 256×256.

    Runs are interleaved, so that a machine that slows down slows all of them, and the fastest
    counts: whatever else a machine does only ever adds to a time, and to short ones most.
    """
    device = Device("cpu", "costs are measured there")
    sessions = {name: Session(graph, device, name) for name, graph in graphs.items()}
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(image, session.outputs[0], (1, 3, SIDE * scale, SIDE * scale))
            seconds[name].append(time.perf_counter() - started)
    return {name: min(times) for name, times in seconds.items()}


def measure_router(graph: bytes, cell: int, output: str, routes: int) -> float:
    """Seconds per LR pixel of a router, on the cells of a CPU input of 256×256 or about.

    As the engine runs it: on one thread, all cells at once. The fastest of several runs counts.
    """
    # One thread, as in the engine, whose answers must not depend on their number.
    session = Session(graph, Device("cpu", "costs are measured there"), "router", threads=1)
    n = max(1, SIDE // cell) ** 2
    tiles = np.random.default_rng(0).random((n, 3, cell, cell), np.float32)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        session.run(tiles, output, (n, routes))
        seconds.append(time.perf_counter() - started)
    return min(seconds) / (n * cell**2)


def cost(seconds: float, slowest: float) -> float:
    """A cost as a manifest states it: a share of the time of the bundle's slowest expert."""
    return max(CHEAPEST, seconds / slowest)
