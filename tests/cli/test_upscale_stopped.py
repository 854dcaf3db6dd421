"""`mmsr upscale` stopped: quickly, cleanly, and to be taken up again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmsr_core.runtime.image import Image, read, write

ROOT = Path(__file__).parents[2]
SHELVES = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(SHELVES)}
RUN = "from mmsr_core.cli import main; main()"
HANGING = """
import threading
from mmsr_core.runtime.files import one
opened = one.open_image
def hang(path, *others):
    if path.name == "00.png":
        threading.Event().wait()  # as a read from a network folder that is gone
    return opened(path, *others)
one.open_image = hang
"""
HANGING_WRITE = """
import threading
from mmsr_core.runtime.image import Sink
def hang(sink, *rows):
    threading.Event().wait()
Sink.write = hang
"""
WAITING = """
import sys, time
class Input:
    def read(self):
        print("reading", flush=True)
        time.sleep(60)
sys.stdin = Input()
sys.stdin.buffer = sys.stdin
"""
IMAGES = 40

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")


@pytest.fixture
def photos(tmp_path):
    rgb = np.random.default_rng(0).random((100, 150, 3), np.float32)
    write(tmp_path / "photos" / "00.png", Image(rgb))
    for number in range(1, IMAGES):
        os.link(tmp_path / "photos" / "00.png", tmp_path / "photos" / f"{number:02d}.png")
    return tmp_path / "photos"


@pytest.fixture
def start(upscaler, photos, tmp_path):
    """start(before): a batch in its own process, with code to run before it."""

    def begin(before=""):
        words = ["upscale", photos, "-o", tmp_path / "out", "--model", upscaler, "--resume"]
        return subprocess.Popen(
            [sys.executable, "-c", before + RUN, *map(str, words), "--device", "cpu"],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def stopped(process, number, ready):
    """What a process says that is sent a signal when it is ready, and how long that takes."""
    limit = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(number)
    started = time.monotonic()
    _, said = process.communicate(timeout=30)
    return said, time.monotonic() - started


def answers(out):
    return list(out.glob("*.png"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_batch_within_two_seconds(start, tmp_path, number):
    out = tmp_path / "out"
    process = start()
    said, seconds = stopped(process, number, lambda: answers(out))
    assert process.returncode == 128 + number
    assert seconds < 2
    last = said.splitlines()[-1]
    assert last.startswith("mmsr: error: interrupted: ")
    assert last.endswith(f" of {IMAGES} images done; run again with --resume to go on")
    assert 0 < len(answers(out)) < IMAGES
    assert list(out.iterdir()) == answers(out)
    assert all(read(path).rgb.shape == (200, 300, 3) for path in answers(out))


def test_a_second_run_continues(start, tmp_path):
    out = tmp_path / "out"
    stopped(start(), signal.SIGINT, lambda: answers(out))
    before = {path: path.stat().st_mtime_ns for path in answers(out)}
    process = start()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, len(answers(out))) == (0, IMAGES)
    assert f"{len(before)} of {IMAGES} images are finished already" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("before", [HANGING, HANGING_WRITE])
def test_what_hangs_keeps_no_process_and_leaves_no_part(start, tmp_path, before):
    out = tmp_path / "out"
    hung = before == HANGING_WRITE

    def ready():
        parts = list(out.glob(".*")) if out.is_dir() else []
        return parts if hung else len(answers(out)) == IMAGES - 1

    process = start(before)
    said, seconds = stopped(process, signal.SIGINT, ready)
    assert process.returncode == 130
    assert seconds < 2
    assert "run again with --resume to go on" in said.splitlines()[-1]
    assert list(out.iterdir()) == answers(out)


def test_a_signal_before_the_work_is_one_line(upscaler, tmp_path):
    words = ["upscale", "-", "-o", tmp_path / "out", "--model", upscaler]
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING + RUN, *map(str, words)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (143, "mmsr: error: interrupted\n")


def test_kill_at_any_moment_and_resume_make_what_an_undisturbed_run_makes(start, tmp_path):
    out = tmp_path / "out"
    for share in (0.02, 0.3, 0.6):
        process = start()
        while len(answers(out)) < share * IMAGES and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate()
    process = start()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(path.name for path in out.iterdir()) == [f"{n:02d}.png" for n in range(IMAGES)]
    assert len({path.read_bytes() for path in answers(out)}) == 1  # all sources are one image
