"""The page upscales in a real browser, and answers what the engine answers."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
from systems import plain

from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_onnx.web import export_web


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return plain(tmp_path_factory.mktemp("web") / "bundle")


@pytest.fixture(scope="module")
def address(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    out = tmp_path_factory.mktemp("site") / "page"
    export_web(bundle, out, fetch_package(out.parent), lambda step: None)
    with serving_folder(out) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A profile of a browser: what a first visit stored is there at the second."""
    with browsing() as browser:
        yield browser.new_context(viewport={"width": 1280, "height": 900})


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, its model loaded."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda line: page.troubles.append(line.text))
    page.hosts = set()
    page.on("request", lambda request: page.hosts.add(request.url.split("/")[2]))
    page.goto(address)
    expect_status(page, "^Ready")
    yield page
    page.close()


def set_effort(page: Any, effort: float) -> None:
    page.locator("#effort").fill(str(effort))


def test_every_cell_is_what_the_engine_answers(page: Any, bundle: Bundle, tmp_path: Path) -> None:
    image = picture(45, 141)
    give(page, image, tmp_path)
    check_cells(saved(page, tmp_path), image, bundle)
    assert set(page.troubles) <= {"No available adapters."}  # the browser's own words on WebGPU


def test_a_picture_of_several_parts_has_no_seam(page: Any, bundle: Bundle, tmp_path: Path) -> None:
    image = picture(530, 610)
    give(page, image, tmp_path)
    page.wait_for_selector("#save[href]")
    set_effort(page, 1)
    page.wait_for_selector("#save:not([href])", state="attached")
    upscaled = saved(page, tmp_path)
    expected = Engine(bundle, "cpu").run_expert("dear", image.astype(np.float32) / 255).clip(0, 1)
    np.testing.assert_allclose(upscaled / 255, expected, atol=1 / 255)


def test_transparency_is_kept(page: Any, tmp_path: Path) -> None:
    opacity = np.full((20, 30, 1), 255, np.uint8)
    opacity[:, :15] = 0
    give(page, np.concatenate([picture(20, 30), opacity], axis=2), tmp_path)
    alpha = saved(page, tmp_path)[:, :, 3]
    assert alpha.shape == (40, 60)
    assert (alpha[:, :24] == 0).all()
    assert (alpha[:, 36:] == 255).all()


def test_the_picture_leaves_for_no_other_host(page: Any, address: str, tmp_path: Path) -> None:
    give(page, picture(20, 30), tmp_path)
    saved(page, tmp_path)
    assert {host for host in page.hosts if host} == {address.split("/")[2]}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has one thread")
def test_threads_are_used_on_a_server_that_sets_no_headers(page: Any, tmp_path: Path) -> None:
    give(page, picture(20, 30), tmp_path)
    expect_status(page, r"^60 × 40 pixels in [\d.]+ s, ([2-9]|\d\d) threads$")


def test_one_thread_does_where_the_browser_refuses_the_service_worker(
    browser: Any, address: str, tmp_path: Path
) -> None:
    context = browser.browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(address)
    expect_status(page, "^Ready: 1 thread$")
    give(page, picture(20, 30), tmp_path)
    assert saved(page, tmp_path).shape == (40, 60, 3)
    context.close()


def test_what_is_no_picture_is_said_and_a_picture_after_it_works(page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page.set_input_files("#file", tmp_path / "notes.txt")
    expect_status(page, "^This file is no picture")
    give(page, picture(20, 30), tmp_path)
    assert saved(page, tmp_path).shape == (40, 60, 3)


def test_a_picture_over_the_limit_is_said(page: Any, tmp_path: Path) -> None:
    give(page, np.zeros((2000, 2100, 3), np.uint8), tmp_path)
    expect_status(page, r"^This picture has 4\.2 megapixels; the page takes 4\.$")


def test_the_keyboard_moves_the_slider(page: Any, tmp_path: Path) -> None:
    give(page, picture(20, 30), tmp_path)
    page.wait_for_selector("#save[href]")
    before = page.locator("#edge").bounding_box()["x"]
    page.focus("#split")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.locator("#edge").bounding_box()["x"] > before + 10


def test_the_routes_are_shown_with_their_shares(page: Any, tmp_path: Path) -> None:
    give(page, picture(45, 141), tmp_path)
    page.wait_for_selector("#save[href]")
    page.check("#show-routes")
    assert page.locator("#routes").is_visible()
    shares = [
        int(re.findall(r"\d+", text)[0]) for text in page.locator("#legend li").all_inner_texts()
    ]
    assert len(shares) == 2
    assert 99 <= sum(shares) <= 101


def test_nothing_is_cut_off_on_a_phone(page: Any, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    give(page, picture(45, 141), tmp_path)
    page.wait_for_selector("#save[href]")
    for name in ("#stage", "#controls", "#save", "#another"):
        box = page.locator(name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
