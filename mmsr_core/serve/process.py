"""The server as a process: its socket, its signals, and its end."""

import asyncio
import socket
import threading
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from mmsr_core.errors import MmsrError
from mmsr_core.serve.queue import Queue
from mmsr_core.serve.settings import Limits

_TICK = 0.2


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; MmsrError in one line when it can't. Port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        raise MmsrError(f"{host}:{port}: {reason}; choose another --host or --port") from None
    return found


class Server(uvicorn.Server):
    """uvicorn, which on a first signal lets accepted pictures be finished and fetched."""

    def __init__(self, app: FastAPI, limits: Limits) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=10,
            h11_max_incomplete_event_size=2**16,
        )
        super().__init__(config)
        self._queue: Queue = app.state.queue
        self._limits = limits

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more, and end when what was accepted is done; at once when asked again."""
        if self._queue.closing:
            return super().handle_exit(sig, frame)
        self._queue.closing = True
        threading.Thread(target=self._leave, daemon=True).start()

    def _leave(self) -> None:
        limit = time.monotonic() + self._limits.grace
        while time.monotonic() < limit and any(self._queue.counts()):
            time.sleep(_TICK)
        self.should_exit = True

    def serve_on(self, listening: socket.socket) -> None:
        """Serve until somebody asks for the end."""
        asyncio.run(self.serve([listening]))
