"""The page in a real browser: a picture comes in, is planned, upscaled, compared and saved."""

import shutil

import cv2
import numpy as np
import pytest
from running import server

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium is installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def port(upscaler, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("sesame\n")
    with server(upscaler, "--keys", keys) as (_, port):
        yield port


@pytest.fixture
def photo(tmp_path):
    """A picture that is dark on the left, and noise on the right."""
    pixels = np.full((96, 128, 3), 20, np.uint8)
    pixels[:, 64:] = np.random.default_rng(0).integers(120, 256, (96, 64, 3))
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def visit(browser, port):
    """visit(**context): the page, its key entered; no error of its scripts is let pass."""
    contexts, errors = [], []

    def go(**options):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda failed: errors.append(f"{failed.url}: {failed.failure}"))
        page.on("request", lambda asked: _only_from(port, asked.url, errors))
        page.goto(f"http://127.0.0.1:{port}/")
        page.fill("#key", "sesame")
        page.press("#key", "Enter")
        page.wait_for_selector("#drop", state="visible")
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


def _only_from(port, url, errors):
    if not url.startswith((f"http://127.0.0.1:{port}/", "blob:")):
        errors.append(f"asked for {url}")


def test_a_picture_is_planned_upscaled_compared_and_saved(visit, photo, tmp_path):
    page = visit(viewport={"width": 1280, "height": 820})
    page.set_input_files("#file", photo)
    page.wait_for_selector("#go:enabled")
    assert "128 × 96 → 256 × 192" in page.inner_text("#caption")
    shares = page.inner_text("#legend").split()
    assert "Simple" in shares or "simple" in shares
    page.focus("#effort")
    page.keyboard.press("End")
    assert page.inner_text("#effort-value") == "1.00"
    assert page.inner_text("#legend li:last-child span") == "100%"
    page.click("#go")
    page.wait_for_selector("#save", state="visible")
    page.wait_for_selector("#divider", state="visible")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "photo-x2.png"
    download.value.save_as(tmp_path / "got.png")
    assert cv2.imread(str(tmp_path / "got.png")).shape == (192, 256, 3)


def test_the_divider_moves_by_keyboard_and_by_pointer(visit, photo):
    page = visit(viewport={"width": 1280, "height": 820})
    page.set_input_files("#file", photo)
    page.click("#go:enabled")
    page.wait_for_selector("#divider", state="visible")
    now = lambda: int(page.get_attribute("#divider", "aria-valuenow"))  # noqa: E731
    page.focus("#divider")
    page.keyboard.press("ArrowRight")
    assert now() == 52
    page.keyboard.press("Home")
    assert now() == 2
    box = page.locator("#view").bounding_box()
    handle = page.locator("#divider span").bounding_box()
    page.mouse.move(handle["x"] + 22, handle["y"] + 22)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], handle["y"] + 22)
    page.mouse.up()
    assert now() == 70
    page.keyboard.press("m")
    assert page.get_attribute("#show-routes", "aria-pressed") == "true"
    page.keyboard.press("z")
    assert page.get_attribute("#zoom", "aria-pressed") == "true"


def test_it_works_on_a_phone_without_scrolling_sideways(visit, photo):
    page = visit(**PHONE)
    page.set_input_files("#file", photo)
    page.tap("#go:enabled")
    page.wait_for_selector("#save", state="visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = "[...document.querySelectorAll('button, select, a.primary')].filter(one => "
    small += "one.offsetParent && one.offsetHeight < 40).length"
    assert page.evaluate(small) == 0


def test_a_picture_can_be_pasted(visit, photo):
    page = visit()
    page.evaluate(
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], 'image.png', {type: 'image/png'}));
          dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
        }""",
        list(photo.read_bytes()),
    )
    page.wait_for_selector("#go:enabled")


def test_what_is_no_picture_is_told_and_another_can_be_chosen(visit, tmp_path):
    page = visit()
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    page.set_input_files("#file", wrong)
    page.wait_for_selector("#problem", state="visible")
    assert "not an image" in page.inner_text("#problem")
    assert page.is_visible("#drop")


def test_a_wrong_key_is_told(browser, port):
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{port}/")
    page.fill("#key", "mellon")
    page.press("#key", "Enter")
    page.wait_for_selector("#problem", state="visible")
    assert "key" in page.inner_text("#problem")
    page.close()
