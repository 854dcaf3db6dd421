"""Working ahead: an iterator that runs in a thread of its own, a few items in front."""

import queue
import threading
from collections.abc import Generator
from typing import TypeVar

Item = TypeVar("Item")

_WAIT = 0.1
"""Seconds after which a thread that waits looks whether it is still wanted."""


class _End:
    """The last thing in a queue; `error` is what ended the items early."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Generator[Item, None, None], most: int) -> Generator[Item, None, None]:
    """The items of a generator, at most `most` of them made before they are asked for.

    What it raises is raised here. Closing this one closes it, in its own thread, and waits for
    that; a generator that takes long over an item has to find out for itself.
    """
    made: queue.Queue[Item | _End] = queue.Queue(most)
    left = threading.Event()

    def put(item: Item | _End) -> bool:
        while not left.is_set():
            try:
                made.put(item, timeout=_WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    break
            items.close()
            end = _End()
        except BaseException as error:  # for the thread that asks
            end = _End(error)
        put(end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        left.set()
        thread.join()
