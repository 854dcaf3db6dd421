"""A connection to a Ray cluster, or one line that says why there is none."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import ray
from ray.exceptions import RayError

from mmsr_core.errors import ClusterError

PATIENCE = 5.0
"""Seconds in which a cluster has to answer."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = 4
"""How HTTP/2 begins (RFC 9113, section 3.4), and its kind of frame that comes first (6.5)."""
_HERALD = "ray_listen_error_messages"
"""Ray's thread that prints what it has to tell of nodes, many lines each."""
_LAST_WORDS = (
    "mmsr: error: ended in the middle of the work; unless somebody killed it, the head of the "
    "Ray cluster is gone, or Ray on this machine; run again with --resume"
)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to the Ray cluster at HOST:PORT, or with "auto" to the one that this machine is
    in; without an address to the one that RAY_ADDRESS names, or else to this machine alone.

    Ray itself prints nothing meanwhile. ClusterError when nothing answers there.
    """
    # No telemetry, and no warning about what num_gpus=0 will mean one day.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # for what it says later
    named = address or os.environ.get("RAY_ADDRESS") or "local"
    with _last_words(), redirect_stdout(_WithoutRay(sys.stdout)):
        try:
            if named not in ("auto", "local"):
                _knock(named)
            with _undisturbed():
                ray.init(
                    address=named,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (OSError, RuntimeError, ValueError, RayError) as error:
            reason = " ".join(str(error).split())
            raise ClusterError(
                f"no Ray cluster answers at {named} ({reason}); start one by "
                "ray start --head, or give the address of one, HOST:PORT"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _last_words() -> Iterator[None]:
    """Ray ends a process that lost its cluster on the spot, with exit code 1 and without a word:
    another process, which hears nothing of this one but its end, says so on stderr."""
    says = f"import sys; sys.stdin.read() or print({_LAST_WORDS!r}, file=sys.stderr)"
    with subprocess.Popen(
        [sys.executable, "-IS", "-c", says],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
        text=True,
    ) as witness:
        try:
            yield
        finally:
            witness.communicate("this one ends by itself")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ray's start writes nothing on stderr, and SIGTERM goes on to do what it did: Ray's own
    handler would end the process on the spot."""
    before = signal.getsignal(signal.SIGTERM)
    sys.stderr.flush()
    stderr, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """OSError or ValueError soon, where Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as line:
        if os.environ.get("RAY_USE_TLS", "0") == "1":
            return
        # Ray speaks gRPC, which is HTTP/2: both sides begin with a frame of settings.
        line.sendall(PREFACE + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0)))
        answer = line.recv(9)
    if answer[3:4] != bytes((SETTINGS,)):
        raise ValueError("something else listens there")


class _WithoutRay:
    """Standard output but for what Ray's own thread prints: a report may be written there."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name == _HERALD:
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
