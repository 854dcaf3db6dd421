"""ONNX Runtime for the web, a server for a page, and a browser to see it in."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mmsr_onnx.web.runtime import PACKAGE

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
)


def fetch_package(folder: Path) -> Path:
    """The packed npm package of ONNX Runtime for the web, in `folder`; skips without npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    line = [npm, "pack", "--silent", "--prefer-offline", "--ignore-scripts", PACKAGE]
    try:
        subprocess.run(line, cwd=folder, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm can't fetch {PACKAGE} here")
    (package,) = folder.glob("*.tgz")
    return package


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """Serve a folder as plainly as `python -m http.server` does; the address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A browser that reloads hangs up in the middle."""

    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def browsing() -> Iterator[Any]:
    """Playwright's handle of a Chromium without a window; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        try:
            yield browser
        finally:
            browser.close()
