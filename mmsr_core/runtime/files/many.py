"""Many files at a time: whatever one of them meets stops no other."""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Literal

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.atomic import is_being_written
from mmsr_core.runtime.cgroup import usable_cores
from mmsr_core.runtime.files.tasks import Task
from mmsr_core.runtime.pipeline import Progress

GPU_WORKERS = 3
"""Images in flight on a GPU: one decoded, one computed, one encoded."""
STALL = 20.0
"""Seconds without progress after which a file is named: a network folder may hang."""
GRACE = 1.2
"""Seconds that images in flight get to end themselves when the batch is left."""
_TICK = 0.1

Facts = dict[str, Any]
Upscale = Callable[[Task, Progress], Facts]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How an image went: `facts` when it is done, `error` in one line when it failed."""

    status: Literal["done", "skipped", "failed"]
    facts: Facts = field(default_factory=dict)
    error: str = ""
    trace: str = ""
    """Where an error came from that nobody foresaw."""


class Stuck(Exception):
    """Some images did not end in time when the batch was left: only leaving the process ends them.

    What they were writing is still beside its place; see `atomic.drop_own`.
    """


class _Stopped(BaseException):
    """Nobody waits for this image any more; no `except Exception` on the way may keep it."""


def workers_for(images: int, cores: int | None = None, jobs: int | None = None) -> tuple[int, int]:
    """Images in flight at once, and threads for each: as many images as cores, if there are.

    Threads that share one image wait for each other at every layer; images don't. `jobs` is
    what somebody asks for instead.
    """
    cores = usable_cores() if cores is None else cores
    workers = max(1, min(images, cores if jobs is None else jobs))
    return workers, max(1, cores // workers)


@dataclass
class _Desk:
    """What one worker is at: how far it is, and when it last got further."""

    task: Task | None = None
    share: float = 0.0
    moved: float = 0.0
    named: bool = False

    def tell(self, share: float) -> None:
        self.share, self.moved = share, time.monotonic()


@dataclass
class _Crew:
    """Workers at their desks, the tasks that are left, and the answers that are in."""

    upscale: Upscale
    left: deque[Task]
    resume: bool
    desks: list[_Desk]
    answers: SimpleQueue[tuple[Task, Outcome]] = field(default_factory=SimpleQueue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def work(self, desk: _Desk) -> None:
        """Take tasks until there are none left."""
        while not self.stopped.is_set():
            try:
                task = self.left.popleft()
            except IndexError:
                return
            desk.task, desk.named = task, False
            desk.tell(0.0)
            try:
                outcome = self._attempt(task, desk)
            except _Stopped:
                return
            desk.task, desk.share = None, 0.0
            if outcome is not None:
                self.answers.put((task, outcome))

    def _attempt(self, task: Task, desk: _Desk) -> Outcome | None:
        """One image, whatever comes; None when another process is at it and others come first."""

        def progress(share: float) -> None:
            if self.stopped.is_set():
                raise _Stopped
            desk.tell(share)

        try:
            if self.resume and task.is_finished():
                return Outcome("skipped")
            if self.resume and is_being_written(task.target):
                self.left.append(task)
                self.stopped.wait(_TICK)
                return None
            return Outcome("done", self.upscale(task, progress))
        except MmsrError as error:
            return Outcome("failed", error=str(error).removeprefix(f"{task.source}: "))
        except OSError as error:
            return Outcome("failed", error=error.strerror or str(error))
        except MemoryError:
            return Outcome("failed", error="out of memory; lower --jobs or --memory")
        except Exception as error:
            line = f"internal error, please report it: {type(error).__name__}: {error}"
            return Outcome("failed", error=line, trace=traceback.format_exc())


def each_file(
    upscale: Upscale,
    tasks: Sequence[Task],
    workers: int,
    resume: bool = False,
    watch: Callable[[float], None] = lambda share: None,
    notice: Notice = lambda line: None,
) -> Generator[tuple[Task, Outcome], None, None]:
    """Do `upscale` for every task, `workers` at once; each task with its outcome, as they end.

    `watch` is told the share of all the work that is done, by the calling thread, several times a
    second; what it raises ends the batch. `notice` is told which file nothing is heard of. With
    `resume` what other processes finish is skipped, and what they are at is left to them.
    When the caller leaves early what is in flight is dropped and no file is half written; Stuck
    when some of it doesn't end.
    """
    crew = _Crew(upscale, deque(tasks), resume, [_Desk() for _ in range(workers)])
    # A thread that hangs in a read must not keep the process: daemons don't.
    threads = [threading.Thread(target=crew.work, args=(d,), daemon=True) for d in crew.desks]
    for thread in threads:
        thread.start()
    ended = 0
    try:
        while ended < len(tasks):
            watch((ended + sum(desk.share for desk in crew.desks)) / len(tasks))
            _name_stalled(crew.desks, notice)
            try:
                answer = crew.answers.get(timeout=_TICK)
            except Empty:
                continue
            ended += 1
            yield answer
    finally:
        crew.stopped.set()
        limit = time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, limit - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            raise Stuck


def _name_stalled(desks: Sequence[_Desk], notice: Notice) -> None:
    for desk in desks:
        task, waited = desk.task, time.monotonic() - desk.moved
        if task is not None and waited > STALL and not desk.named:
            desk.named = True
            notice(f"{task.source}: no progress for {waited:.0f} s; still waiting for it")
