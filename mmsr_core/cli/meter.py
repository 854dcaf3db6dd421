"""What a batch says while it runs: a bar for who watches, a line now and then for a log."""

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import click

from mmsr_core.errors import one_line

_EVERY = 10.0
"""Seconds between two lines where nobody watches."""
_SHOWN = 20
"""Failures that are named one by one."""


class Meter:
    """Images done, megapixels a second and the time that is left."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.done = 0
        self._pixels = 0
        self._started = self._told = time.monotonic()
        self._bar: Any = None
        if images and sys.stderr.isatty():
            self._bar = click.progressbar(
                length=1000,
                label="upscaling",
                file=sys.stderr,
                item_show_func=lambda _: self._said(),
            )

    def watch(self, share: float) -> None:
        """Show that so much of the work is done, in [0,1]."""
        with suppress(OSError):  # whoever watched is gone; the work goes on
            if self._bar is not None:
                self._bar.update(int(1000 * share) - self._bar.pos, self.done)
            elif time.monotonic() - self._told >= _EVERY:
                self._told = time.monotonic()
                click.echo(f"upscaling: {self._said()}, {share:.0%}{self._left(share)}", err=True)

    def ended(self, pixels: int) -> None:
        """One more image has ended, with so many upscaled pixels, 0 if it failed."""
        self.done += 1
        self._pixels += pixels

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        with suppress(OSError):
            if self._bar is not None:
                click.echo("\r\033[K", nl=False, err=True)
            click.echo(one_line(line), err=True)

    def _said(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._started)
        return f"{self.done}/{self.images} images, {self._pixels / 1e6 / seconds:.1f} MP/s"

    def _left(self, share: float) -> str:
        if not share:
            return ""
        seconds = (time.monotonic() - self._started) * (1 - share) / share
        return f", {seconds // 3600:02.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f} left"

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            if self._bar is not None:
                self._bar.__exit__(kind, error, trace)


def name_failures(failures: list[str]) -> None:
    """One line on stderr for each failure, and how many more there are."""
    with suppress(OSError):
        for failure in failures[:_SHOWN]:
            click.echo(one_line(f"failed: {failure}"), err=True)
        if len(failures) > _SHOWN:
            more = len(failures) - _SHOWN
            click.echo(f"… and {more} more; --json FILE names them all", err=True)
