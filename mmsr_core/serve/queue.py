"""The queue: jobs that wait, are at work, or are done; and the threads that work on them."""

import asyncio
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.serve.problem import Problem
from mmsr_core.serve.settings import KEPT, Limits

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
_TELLING = 0.05
"""The share of a job from which on its own pace says more than what was expected."""
LOG = logging.getLogger("mmsr.serve")


class Work(Protocol):
    """What a job does."""

    @property
    def seconds(self) -> float:
        """How long it is expected to take."""

    def joins(self, group: Sequence["Work"]) -> bool:
        """Whether it can be done together with others, in the engine's batches."""

    def run(self, group: Sequence["Work"], progress: Progress) -> None:
        """Do it, with the others of its group; what `progress` raises ends it."""

    def drop(self) -> None:
        """Let go of all that it holds: nobody wants it any more."""


class _Stopped(BaseException):
    """Nobody waits for this any more; no `except Exception` on the way may keep it."""


@dataclass(eq=False)
class Job:
    """One request on its way. `ended` is set, in the event loop, when it has come to its end."""

    work: Work
    loop: asyncio.AbstractEventLoop
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    status: Status = "waiting"
    share: float = 0.0
    problem: Problem | None = None
    started: float = 0.0
    finished: float = 0.0
    lasting: bool = False
    """Whether its answer waits to be fetched by its id."""
    fetched: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def left(self) -> float:
        """Seconds that it is still expected to take, once it is at work."""
        if self.share < _TELLING:
            return self.work.seconds
        return (time.monotonic() - self.started) * (1 - self.share) / self.share


Watch = Callable[[Job], None]


class Queue:
    """A bounded queue and its workers. Everything public may be called from any thread."""

    def __init__(self, limits: Limits, watch: Watch = lambda job: None) -> None:
        """`watch` is told of every job that ends, by its worker."""
        self.limits, self._watch = limits, watch
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._kept: dict[str, Job] = {}
        self._changed = threading.Condition()
        self.closing = False
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, daemon=True) for _ in range(limits.jobs)
        ]

    def open(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def check_room(self) -> None:
        """Problem 429 when the queue is full, 503 when the server is about to end."""
        with self._changed:
            if self.closing:
                raise Problem(503, "the server is about to end; ask again", {"Retry-After": "10"})
            if len(self._waiting) >= self.limits.queue:
                free = min((job.left for job in self._running), default=0.0)
                wait = math.ceil(min(600.0, max(1.0, free)))
                raise Problem(
                    429,
                    f"the queue is full, {len(self._waiting)} are waiting; try again in {wait} s",
                    {"Retry-After": str(wait)},
                )

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn; see `check_room`."""
        with self._changed:
            self.check_room()
            self._waiting.append(job)
            if job.lasting:
                self._kept[job.id] = job
            self._changed.notify()

    def find(self, id: str) -> Job:
        """A lasting job; Problem 404 when there is none."""
        self._forget_old()
        with self._changed:
            if id not in self._kept:
                kept = f"{self.limits.keep:g} s"
                raise Problem(404, f"no such job; answers are kept for {kept} after they are done")
            return self._kept[id]

    def position(self, job: Job) -> int:
        """How many jobs are before it in the queue."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else 0

    def wait(self, job: Job) -> float:
        """Seconds until its answer is expected."""
        with self._changed:
            if job.status == "running":
                return job.left
            if job.status != "waiting" or job not in self._waiting:
                return 0.0
            return self._ahead(self._waiting.index(job)) + job.work.seconds

    def drop(self, job: Job) -> None:
        """Forget a job; one that is waiting never begins, one at work ends soon."""
        with self._changed:
            self._kept.pop(job.id, None)
            if job in self._waiting:
                self._waiting.remove(job)
            running = job in self._running
            if job.status in ("waiting", "running"):
                job.status = "cancelled"
        if not running:  # its worker lets go of it otherwise
            self._end(job)
            job.work.drop()

    def counts(self) -> tuple[int, int, int]:
        """Jobs that wait, are at work, and are done but not fetched."""
        with self._changed:
            done = sum(one.status == "done" and not one.fetched for one in self._kept.values())
            return len(self._waiting), len(self._running), done

    def close(self) -> None:
        """End all that is left, and the workers."""
        with self._changed:
            self.closing = self._closed = True
            left = [*self._waiting, *self._running, *self._kept.values()]
            self._changed.notify_all()
        for job in dict.fromkeys(left):
            self.drop(job)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(self.limits.patience)

    def _ahead(self, count: int) -> float:
        """Seconds until so many of those that wait, and those at work, are done."""
        waiting = sum(job.work.seconds for job in list(self._waiting)[:count])
        return (waiting + sum(job.left for job in self._running)) / self.limits.jobs

    def _forget_old(self) -> None:
        """Drop answers that were kept long enough, or that are too many."""
        now = time.monotonic()
        with self._changed:
            done = [job for job in self._kept.values() if job.finished]
            old = [job for job in done if now - job.finished > self.limits.keep]
            old += done[: max(0, len(done) - KEPT)]
        for job in dict.fromkeys(old):
            self.drop(job)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed, timeout=10.0)
                if self._closed:
                    return
                group = self._take()
            if group:
                self._work(group)
            self._forget_old()

    def _take(self) -> list[Job]:
        """The job whose turn it is, and those that wait and can be done together with it."""
        group: list[Job] = []
        for job in list(self._waiting):
            if not group or job.work.joins([one.work for one in group]):
                group.append(job)
                self._waiting.remove(job)
        for job in group:
            job.status, job.started = "running", time.monotonic()
        self._running += group
        return group

    def _work(self, group: Sequence[Job]) -> None:
        def progress(share: float) -> None:
            if all(job.status == "cancelled" for job in group):
                raise _Stopped
            if time.monotonic() - group[0].started > self.limits.seconds:
                limit = f"{self.limits.seconds:g} s"
                raise Problem(
                    503, f"took longer than {limit}; send a smaller picture, or less effort"
                )
            for job in group:
                job.share = share

        status: Status = "failed"
        problem: Problem | None = None
        try:
            group[0].work.run([job.work for job in group], progress)
            status = "done"
        except _Stopped:
            status = "cancelled"
        except Problem as error:
            problem = error
        except MmsrError as error:
            problem = Problem(422, str(error))
        except MemoryError:
            problem = Problem(503, "out of memory; send a smaller picture", {"Retry-After": "30"})
        except Exception:
            LOG.exception("a job failed")
            problem = Problem(500, "internal error; the server's log says more")
        if problem is not None and len(group) > 1:  # one of them is at fault: find out which
            for job in group:
                self._work([job])
            return
        for job in group:
            self._settle(job, status, problem)

    def _settle(self, job: Job, status: Status, problem: Problem | None) -> None:
        with self._changed:
            self._running.remove(job)
            wanted = job.status != "cancelled"
            if wanted:
                job.problem, job.share = problem, 1.0 if status == "done" else job.share
                job.status = status
        self._end(job)
        if not wanted or (status != "done" and not job.lasting):
            job.work.drop()

    def _end(self, job: Job) -> None:
        if not job.finished:
            job.finished = time.monotonic()
            self._watch(job)
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                job.loop.call_soon_threadsafe(job.ended.set)
