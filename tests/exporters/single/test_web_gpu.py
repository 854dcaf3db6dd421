"""The page's experts on WebGPU, by an adapter that imitates a GPU, and WebAssembly instead."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import graph
from onnx import helper
from pages import (
    PATIENCE,
    browsing,
    check_cells,
    expect_status,
    fetch_package,
    give,
    picture,
    saved,
    serving_folder,
)
from systems import fused, plain

from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import Reference
from mmsr_onnx.web import export_web

ADAPTER = "async () => Boolean(await navigator.gpu?.requestAdapter())"
LOSE = """
const ask = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (wanted) {
  const device = await ask.call(this, wanted);
  self.addEventListener("message", ({ data }) => { if (data.pixels) device.destroy(); });
  return device;
};
"""
"""Has a device lost when a picture comes."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return plain(tmp_path_factory.mktemp("web") / "bundle")


@pytest.fixture(scope="module")
def site(bundle: Bundle, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a page."""
    out = tmp_path_factory.mktemp("site") / "page"
    export_web(bundle, out, package, lambda step: None)
    return out


@pytest.fixture(scope="module")
def browser(site: Path) -> Iterator[Any]:
    """A browser that imitates a GPU; skips where it won't."""
    with browsing("--enable-unsafe-webgpu") as browser:
        page = browser.new_page()
        with serving_folder(site) as address:
            page.goto(f"{address}model.json")  # of this origin, and nothing runs there
            if not page.evaluate(ADAPTER):
                pytest.skip("this chromium has no WebGPU, not even an imitated one")
        page.close()
        yield browser


@contextmanager
def visiting(browser: Any, site: Path, query: str = "?device=webgpu") -> Iterator[Any]:
    """The page, its model loaded on one thread; `page.asked` names the files it asked for."""
    with serving_folder(site) as address:
        context = browser.new_context(service_workers="block")
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url.split("/")[-1]))
        page.goto(address + query)
        expect_status(page, "^Ready")
        yield page
        context.close()


def changed(site: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the page with one file of other content."""
    copy = tmp_path / "changed"
    shutil.copytree(site, copy, copy_function=os.link)
    (copy / name).unlink()
    (copy / name).write_bytes(change((site / name).read_bytes()))
    return copy


def check_fallback(page: Any, bundle: Bundle, folder: Path, reason: str) -> None:
    """The picture is upscaled all the same, and the page says by what, and why."""
    image = picture(45, 141)
    give(page, image, folder)
    check_cells(saved(page, folder), image, bundle)
    expect_status(page, "1 thread$")
    assert page.inner_text("#about").endswith("WebAssembly")
    assert page.inner_text("#notice").startswith(f"WebGPU isn't used: {reason}")


def test_every_cell_is_what_the_engine_answers(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    image = picture(45, 141)
    sides = {side for _, _, side, _ in Reference.open(bundle).plan(image_planes(image), 0.5)}
    assert len(sides) > 1
    with visiting(browser, site) as page:
        expect_status(page, "^Ready: WebGPU$")
        give(page, image, tmp_path)
        check_cells(saved(page, tmp_path), image, bundle)
        expect_status(page, "WebGPU$")
        assert page.inner_text("#about").endswith("WebGPU")
        assert not page.locator("#notice").is_visible()
        assert "model.onnx" not in page.asked


def test_a_fuser_runs_there_as_well(browser: Any, package: Path, tmp_path: Path) -> None:
    bundle, image = fused(tmp_path / "bundle"), picture(45, 141)
    export_web(bundle, tmp_path / "page", package, lambda step: None)
    with visiting(browser, tmp_path / "page") as page:
        give(page, image, tmp_path)
        upscaled = saved(page, tmp_path)
        expect_status(page, "WebGPU$")
    expected, _ = Reference.open(bundle).upscale_image(image_planes(image), 0.5)
    expected = expected.clip(0, 1).transpose(1, 2, 0)
    np.testing.assert_allclose(upscaled / 255, expected, atol=1 / 255)


def test_a_picture_of_several_parts_has_no_seam(browser: Any, site: Path, tmp_path: Path) -> None:
    image = picture(40, 610)
    answers = []
    for device in ("webgpu", "wasm"):
        with visiting(browser, site, f"?device={device}") as page:
            give(page, image, tmp_path)
            answers.append(saved(page, tmp_path) / 255)
    np.testing.assert_allclose(*answers, atol=1 / 255)


def test_an_imitated_gpu_is_used_only_when_asked_for(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    with visiting(browser, site, "") as page:
        check_fallback(page, bundle, tmp_path, "the browser would only imitate a GPU")
        assert not any("webgpu.min" in name or "asyncify" in name for name in page.asked)


def test_webassembly_is_used_when_asked_for(browser: Any, site: Path) -> None:
    with visiting(browser, site, "?device=wasm") as page:
        expect_status(page, "^Ready: 1 thread$")
        assert not page.locator("#notice").is_visible()


def test_a_page_without_webgpu_says_so(
    browser: Any, bundle: Bundle, package: Path, tmp_path: Path
) -> None:
    export_web(bundle, tmp_path / "page", package, lambda step: None, webgpu=False)
    with visiting(browser, tmp_path / "page") as page:
        check_fallback(page, bundle, tmp_path, "the page was made without it")


def test_an_expert_that_does_not_open_is_made_good(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    damaged = changed(site, tmp_path, "part-0.onnx", lambda graph: graph[:50])
    with visiting(browser, damaged) as page:
        check_fallback(page, bundle, tmp_path, "")


def test_an_answer_that_is_not_finite_is_made_good(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    broken = changed(site, tmp_path, "part-0.onnx", lambda graph: reciprocal())
    with visiting(browser, broken) as page:
        expect_status(page, "^Ready: WebGPU$")
        check_fallback(page, bundle, tmp_path, "an answer was not finite")


def test_a_gpu_that_answers_otherwise_is_not_trusted(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    compare = b"Math.abs(value - expected.data[place])"
    other = changed(site, tmp_path, "webgpu.mjs", lambda code: code.replace(compare, b"1"))
    with visiting(browser, other) as page:
        check_fallback(page, bundle, tmp_path, "it answers otherwise than WebAssembly")


def test_a_gpu_that_is_lost_is_made_good(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    losing = changed(site, tmp_path, "worker.mjs", lambda code: code + LOSE.encode())
    with visiting(browser, losing) as page:
        expect_status(page, "^Ready: WebGPU$")
        check_fallback(page, bundle, tmp_path, "")


def test_a_browser_without_a_gpu_says_so(
    browser: Any, site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    none = "GPU.prototype.requestAdapter = async () => null;"
    poor = changed(site, tmp_path, "worker.mjs", lambda code: code + none.encode())
    with visiting(browser, poor) as page:
        check_fallback(page, bundle, tmp_path, "the browser offers no GPU")


def reciprocal() -> bytes:
    """An expert that fails on black pixels alone."""
    repeated = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)[:, :, None, None]
    nodes = [
        helper.make_node("Reciprocal", ["tiles"], ["reciprocals"]),
        helper.make_node("Conv", ["reciprocals", "w"], ["deep"]),
        helper.make_node("DepthToSpace", ["deep"], ["upscaled"], blocksize=2, mode="CRD"),
    ]
    return graph(nodes, {"w": repeated}, ("tiles", 4), ("upscaled", 4))


def image_planes(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bytes (h,w,3) as (3,h,w) in [0,1]."""
    return (image.astype(np.float32) / 255).transpose(2, 0, 1)
