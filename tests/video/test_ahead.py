import threading
import time

import pytest

from mmsr_core.video.ahead import ahead


def counting(most, seen=None, closed=None):
    try:
        for number in range(most):
            if seen is not None:
                seen.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(threading.current_thread())


def test_items_come_in_their_order():
    assert list(ahead(ahead(counting(100), 3), 1)) == list(range(100))


def test_it_works_ahead_by_no_more_than_it_may():
    seen = []
    items = ahead(counting(100, seen), 3)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(seen) <= 1 + 3 + 1  # what was taken, what waits, what is in hand
    items.close()


def test_what_the_items_raise_is_raised_after_those_before():
    def failing():
        yield 1
        raise ZeroDivisionError("as asked")

    items = ahead(failing(), 5)
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError, match="as asked"):
        next(items)


def test_leaving_early_closes_the_whole_chain_and_ends_its_threads():
    before, closed = threading.active_count(), []
    items = ahead(ahead(counting(1000, closed=closed), 2), 2)
    next(items)
    items.close()
    for _ in range(20):
        if threading.active_count() == before:
            break
        time.sleep(0.1)
    assert threading.active_count() == before
