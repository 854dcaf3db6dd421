"""ONNX Runtime for the web, a server for a page, a browser to see it in, and what is done there."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from systems import CELL, brightening

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.tiles import Grid
from mmsr_onnx.single.check import Reference
from mmsr_onnx.web.runtime import PACKAGE

PATIENCE = 60_000
"""Milliseconds."""
Image = np.ndarray[Any, Any]
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
def browsing(*flags: str) -> Iterator[Any]:
    """Playwright's handle of a Chromium without a window; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*FLAGS.split(), *flags]
        )
        try:
            yield browser
        finally:
            browser.close()


def expect_status(page: Any, pattern: str) -> None:
    from playwright.sync_api import expect

    expect(page.locator("#status")).to_have_text(re.compile(pattern), timeout=PATIENCE)


def give(page: Any, image: Image, folder: Path) -> None:
    """Choose an image of bytes (h,w,3 or 4), RGB."""
    path = folder / "photo.png"
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    cv2.imwrite(str(path), cv2.cvtColor(image, code))
    page.set_input_files("#file", path)


def saved(page: Any, folder: Path) -> Image:
    """What the download link gives when the page is done: bytes (H,W,3 or 4), RGB."""
    page.wait_for_selector("#save[href]")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "photo-x2.png"
    path = folder / "saved.png"
    download.value.save_as(path)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def picture(height: int, width: int) -> Image:
    return (brightening(height, width).transpose(1, 2, 0) * 255).round().astype(np.uint8)


def check_cells(upscaled: Image, image: Image, bundle: Bundle) -> None:
    """Is every cell what the engine's expert of its route answers, to a step of 8 bits?"""
    pixels = image.astype(np.float32) / 255
    engine, grid = Engine(bundle, "cpu"), Grid(*image.shape[:2], CELL)
    _, routes = Reference.open(bundle).upscale_image(pixels.transpose(2, 0, 1), 0.5)
    assert set(routes.ravel()) == {0, 1}
    answers = [engine.run_expert(name, pixels) for name in ("cheap", "dear")]
    for row, column in np.ndindex(grid.rows, grid.columns):
        box = grid.box(slice(row, row + 1), slice(column, column + 1)).scaled(2)
        cell = np.s_[box.top : box.bottom, box.left : box.right]
        expected = answers[routes[row, column]][cell].clip(0, 1)
        np.testing.assert_allclose(upscaled[cell] / 255, expected, atol=1 / 255)
