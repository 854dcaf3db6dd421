"""Where the time of a pretraining goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Seconds in all, waited for images, and spent on views, over all resumed runs.

    On a GPU the views' seconds are the device's own, and nothing waits for it to know them.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._started = time.perf_counter()
        self._total = self._waited = self._augmented = 0.0
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def add(self, total: float, waited: float, augmented: float) -> None:
        """Count what an earlier run took."""
        self._total += total
        self._waited += waited
        self._augmented += augmented

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block waits for images."""
        started = time.perf_counter()
        yield
        self._waited += time.perf_counter() - started

    @contextmanager
    def augmenting(self) -> Iterator[None]:
        """The block makes views."""
        if not self._cuda:
            started = time.perf_counter()
            yield
            self._augmented += time.perf_counter() - started
            return
        pair = (
            torch.cuda.Event(enable_timing=True),  # type: ignore[no-untyped-call]
            torch.cuda.Event(enable_timing=True),  # type: ignore[no-untyped-call]
        )
        pair[0].record()
        yield
        pair[1].record()
        self._pending.append(pair)
        self._collect()

    def seconds(self) -> dict[str, float]:
        """`total`, `waited` and `augmented`, so far."""
        if self._cuda:
            torch.cuda.synchronize()
            self._collect()
        total = self._total + time.perf_counter() - self._started
        return {"total": total, "waited": self._waited, "augmented": self._augmented}

    def _collect(self) -> None:
        while self._pending and self._pending[0][1].query():  # type: ignore[no-untyped-call]
            started, ended = self._pending.pop(0)
            self._augmented += started.elapsed_time(ended) / 1000
