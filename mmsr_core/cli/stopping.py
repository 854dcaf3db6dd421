"""Ctrl-C and its kin: a batch ends itself, within two seconds, and leaves nothing half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass
class Stop:
    """Whether somebody asked this process to end: `signal` is the number, or 0."""

    signal: int = 0
    times: int = 0
    polled: bool = False
    """Set by who looks at `signal` several times a second; until then a signal interrupts."""

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + (self.signal or signal.SIGINT)

    def check(self) -> None:
        """KeyboardInterrupt when somebody asked."""
        if self.signal:
            raise KeyboardInterrupt


@contextmanager
def stopping() -> Iterator[Stop]:
    """Signals that ask the process to end are noted while the block runs, in its main thread."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = stop.signal or number
        stop.times += 1
        # Once is for a clean end, twice is impatience; who asks again sees that it hangs.
        if (stop.times == 1 and not stop.polled) or stop.times > 2:
            raise KeyboardInterrupt

    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in known}
    # Who started this with `nohup` or in the background has had its signals ignored on purpose.
    heard = [number for number in known if before[number] != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    for number in heard:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number in heard:
            signal.signal(number, before[number])
