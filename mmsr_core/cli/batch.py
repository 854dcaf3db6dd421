"""A batch run from the terminal: its progress, its report, and how it ends."""

import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.cli import Failure
from mmsr_core.cli.files import json_rows
from mmsr_core.cli.meter import Meter, name_failures
from mmsr_core.cli.stopping import Stop

if TYPE_CHECKING:
    from mmsr_core.cluster.errand import Errand
    from mmsr_core.runtime.files import Outcome, Task

    Job = Task | Errand
    Work = Callable[
        [Callable[[float], None], Callable[[str], None]],
        Generator[tuple[Job, Outcome], None, None],
    ]
    """What does the work: told whom to tell how far it is, and what to remark; see `each_file`."""

SOME_FAILED = 3
"""The exit code of a batch that ran to its end but for images that failed."""


@dataclass
class Counts:
    """How many images ended how, and in one line why some failed."""

    done: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All that ended."""
        return self.done + self.skipped + len(self.failures)

    def judge(self) -> None:
        """Failure when images failed; the only image's own, or after a line for each of them."""
        if not self.failures:
            return
        if self.total == 1:
            raise Failure(self.failures[0])
        name_failures(self.failures)
        others = [f"{self.done} done"]
        if self.skipped:
            others.append(f"{self.skipped} finished before")
        failed = f"{len(self.failures)} of {self.total} images failed ({', '.join(others)})"
        raise Failure(failed, SOME_FAILED)


@dataclass(frozen=True)
class Batch:
    """What is to be done, what is done already, and what can't be."""

    tasks: "Sequence[Job]"
    finished: "Sequence[Job]"
    refused: Sequence[tuple[Path | str, str]]

    def run(
        self,
        work: "Work",
        stop: Stop,
        meter: Meter,
        json_path: Path | None,
        facts: dict[str, Any],
    ) -> None:
        """Do it; Failure when images failed or somebody stopped it, after the report is written."""
        from mmsr_core.runtime.files import Stuck

        def watch(share: float) -> None:
            stop.check()
            meter.watch(share)

        counts = Counts()
        stop.polled = True
        try:
            with json_rows(json_path, facts) as add:
                self._add_known(counts, add)
                outcomes = work(watch, meter.say)
                with meter, closing(outcomes):
                    for task, outcome in outcomes:
                        meter.ended(_pixels(outcome))
                        if outcome.facts.get("pages", 1) > 1:
                            pages = outcome.facts["pages"]
                            meter.say(f"{task.source}: the first of its {pages} frames is taken")
                        add(_row(task, outcome))
                        _count(counts, task, outcome)
        except (Stuck, KeyboardInterrupt) as error:
            failure = Failure(
                f"interrupted: {counts.done} of {len(self.tasks)} images done; "
                "run again with --resume to go on",
                stop.exit_code,
            )
            if isinstance(error, Stuck):
                _leave_now(self.tasks, failure)
            raise failure from None
        counts.judge()

    def report(self, json_path: Path | None, facts: dict[str, Any]) -> None:
        """Say what is known without any work; Failure when an input was refused."""
        counts = Counts()
        with json_rows(json_path, facts) as add:
            self._add_known(counts, add)
        counts.judge()

    def _add_known(self, counts: Counts, add: Callable[[object], None]) -> None:
        if self.finished:
            known = len(self.finished) + len(self.tasks)
            click.echo(f"{len(self.finished)} of {known} images are finished already", err=True)
        for task in self.finished:
            counts.skipped += 1
            add({"input": str(task.source), "output": str(task.target), "status": "skipped"})
        for path, reason in self.refused:
            counts.failures.append(f"{path}: {reason}")
            add({"input": str(path), "status": "failed", "error": reason})


def _count(counts: Counts, task: "Job", outcome: "Outcome") -> None:
    if outcome.status == "failed":
        counts.failures.append(f"{task.source}: {outcome.error}")
    elif outcome.status == "skipped":
        counts.skipped += 1
    else:
        counts.done += 1


def _row(task: "Job", outcome: "Outcome") -> dict[str, Any]:
    row = {"input": str(task.source), "output": str(task.target), "status": outcome.status}
    if outcome.error:
        row["error"] = outcome.error
    if outcome.trace:
        row["trace"] = outcome.trace
    return row | outcome.facts


def _pixels(outcome: "Outcome") -> int:
    width, height = outcome.facts.get("upscaled", (0, 0))
    return int(width * height)


def _leave_now(tasks: "Iterable[Job]", failure: Failure) -> None:
    """End the process in spite of threads that hang, and leave no half-written file."""
    from mmsr_core.runtime.atomic import drop_own

    for folder in {Path(path).parent for task in tasks for path in task.written()}:
        drop_own(folder)
    with suppress(OSError):
        failure.show()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(failure.exit_code)
