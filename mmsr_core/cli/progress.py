"""Progress on the terminal: one bar per stage, silent when nobody watches."""

import sys
import time
from types import TracebackType
from typing import Any, Self

import click


class Stages:
    """A bar for whichever stage last reported; a line per finished stage when not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""
        self._started = 0.0

    def report(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` is reached; text before the first colon names the stage.

        A total of 0 makes it a remark, a line of its own.
        """
        if not total:
            self._close()
            self._stage = ""
            click.echo(what, err=True)
            return
        stage = what.partition(":")[0]
        if stage != self._stage:
            self._close()
            self._stage, self._started = stage, time.monotonic()
            if sys.stderr.isatty():
                self._bar = click.progressbar(length=total, label=what, file=sys.stderr)
                self._bar.__enter__()
        if self._bar is not None:
            self._bar.label = what
            self._bar.update(done - self._bar.pos)
            self._bar.render_progress()  # with its new label, however little was done
        elif done >= total:
            seconds = time.monotonic() - self._started
            click.echo(f"{what}: {total} done in {seconds:.0f} s", err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
