"""Many pictures, threads, and loops that go on meanwhile."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmsr_core.errors import MmsrError


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_many_come_in_order(model):
    images = [noise(9, 11 + number, 3, seed=number) for number in range(7)]
    found = list(model.upscale_many(images, scale=1.5, workers=3))
    assert len(found) == 7
    for image, result in zip(images, found, strict=True):
        np.testing.assert_array_equal(result.pixels, model.upscale(image, scale=1.5).pixels)


def test_many_are_taken_as_results_are_asked_for(model):
    taken = []

    def images():
        for number in range(50):
            taken.append(number)
            yield noise(9, 11, 3)

    results = model.upscale_many(images(), workers=3)
    next(results)
    next(results)
    assert len(taken) <= 5
    results.close()
    assert len(taken) <= 5


def test_an_error_among_many_comes_at_its_place(model):
    results = model.upscale_many([noise(9, 11, 3), "nowhere.png", noise(9, 11, 3)])
    next(results)
    with pytest.raises(MmsrError, match="nowhere"):
        next(results)


def test_threads_share_a_model(model):
    images = [noise(9, 11, 3, seed=number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.upscale, images))
    for image, result in zip(images, found, strict=True):
        np.testing.assert_array_equal(result.pixels, model.upscale(image).pixels)


def test_awaiting_gives_the_same(model):
    image = noise(9, 11, 3)
    result = asyncio.run(model.aupscale(image, scale=3))
    np.testing.assert_array_equal(result.pixels, model.upscale(image, scale=3).pixels)


def test_many_can_be_awaited(model):
    images = [noise(9, 11 + number, 3, seed=number) for number in range(5)]

    async def coming():
        for image in images:
            await asyncio.sleep(0)
            yield image

    async def all_of(given):
        return [result.pixels async for result in model.aupscale_many(given, workers=3)]

    for given in (images, coming()):
        for image, pixels in zip(images, asyncio.run(all_of(given)), strict=True):
            np.testing.assert_array_equal(pixels, model.upscale(image).pixels)


def test_the_loop_goes_on_while_a_picture_is_upscaled(model, slow):
    async def beats():
        task = asyncio.create_task(model.aupscale(noise(300, 10, 3), effort=1.0, memory=0))
        count = 0
        while not task.done():
            await asyncio.sleep(0.005)
            count += 1
        return count

    assert asyncio.run(beats()) > 5


def test_cancelling_ends_the_thread_too(model, slow):
    async def cancelled():
        task = asyncio.create_task(model.aupscale(noise(3000, 10, 3), effort=1.0, memory=0))
        while not slow.runs:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())  # which waits for its threads
    assert slow.runs < 100  # of 375


@pytest.fixture
def slow(model, monkeypatch):
    """Every run of an expert takes 10 ms; counts them."""
    experts = model.engine._pipeline.experts
    run = type(experts).run

    class Slow:
        runs = 0

    lock = threading.Lock()

    def slowly(self, name, tiles):
        time.sleep(0.01)
        with lock:
            Slow.runs += 1
        return run(self, name, tiles)

    monkeypatch.setattr(type(experts), "run", slowly)
    return Slow
