"""Writing row by row: whole or not at all, in little memory, and what ends it early."""

import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import Header, Sink, check_size, open_image, read
from mmsr_core.runtime.image.formats import FORMATS

SUFFIXES = [form.suffixes[0] for form in FORMATS]
STREAMED = [form.suffixes[0] for form in FORMATS if not form.whole]


def colours(height=61, width=47):
    samples = np.random.default_rng(3).integers(0, 256, (height, width, 3))
    return samples.astype(np.float32) / np.float32(255)


def sent(path, pixels, cuts=(), quality=None, **facts):
    """Write pixels in pieces that begin at `cuts`."""
    height, width = pixels.shape[:2]
    with Sink(path, height, width, Header(height, width, **facts), quality) as sink:
        for piece in np.split(pixels.astype(np.float32), cuts):
            sink.write(piece)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pieces_of_any_height_make_the_same_file(tmp_path, suffix):
    once = sent(tmp_path / f"a{suffix}", colours())
    pieces = sent(tmp_path / f"b{suffix}", colours(), cuts=(1, 2, 30, 60))
    assert once.read_bytes() == pieces.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_the_caller_raises_comes_through_and_no_file_appears(tmp_path, suffix):
    sink = Sink(tmp_path / f"a{suffix}", 61, 47, Header(61, 47))
    with pytest.raises(ZeroDivisionError), sink:
        sink.write(colours()[: 1 // 0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_rows_are_an_error_and_no_file_appears(tmp_path, suffix):
    with pytest.raises(ImageError, match="60 rows came for 47x61 pixels"):
        short(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def short(path):
    with Sink(path, 61, 47, Header(61, 47)) as sink:
        sink.write(colours()[:60])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_thread_outlives_a_sink(tmp_path, suffix):
    before = set(threading.enumerate())
    sent(tmp_path / f"a{suffix}", colours())
    with pytest.raises(ImageError):
        short(tmp_path / f"b{suffix}")
    assert set(threading.enumerate()) == before


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from mmsr_core.errors import ImageError
from mmsr_core.runtime.image import Header, Sink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
path, rng = Path(sys.argv[1]), np.random.default_rng(0)
try:
    with Sink(path, 2000, 500, Header(2000, 500)) as sink:
        for _ in range(20):
            sink.write(rng.random((100, 500, 3), dtype=np.float32))
except ImageError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_a_disc_that_is_full_is_one_line_and_no_file(tmp_path, suffix):
    result = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / f"a{suffix}"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert result.stderr.splitlines() == [
        f"refused: {tmp_path}/a{suffix}: cannot write it (File too large)"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", STREAMED)
def test_a_long_image_is_never_held(tmp_path, suffix):
    height, width = 60_000, 100
    row = np.linspace(0, 1, width * 3, dtype=np.float32).reshape(1, width, 3)
    tracemalloc.start()
    with Sink(tmp_path / f"a{suffix}", height, width, Header(height, width)) as sink:
        for _ in range(height // 100):
            sink.write(row.repeat(100, 0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < height * width * 3  # one byte a sample


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_a_lower_quality_makes_a_smaller_file(tmp_path, suffix):
    fine = sent(tmp_path / f"a{suffix}", colours(), quality=95)
    coarse = sent(tmp_path / f"b{suffix}", colours(), quality=30)
    assert coarse.stat().st_size < fine.stat().st_size / 2


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_a_lossless_format_pays_no_heed_to_quality(tmp_path, suffix):
    path = sent(tmp_path / f"a{suffix}", colours(), quality=10)
    assert np.array_equal(read(path).rgb, colours())


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(tmp_path, quality):
    with pytest.raises(ImageError, match="from 1 to 100"):
        sent(tmp_path / "a.jpg", colours(), quality=quality)


@pytest.mark.parametrize(
    ("suffix", "side"), [(".jpg", 65501), (".webp", 16384), (".avif", 16385), (".bmp", 32768)]
)
def test_a_size_that_a_format_cannot_hold_is_refused_by_name(suffix, side):
    with pytest.raises(ImageError, match=f"cannot hold {side}x1 pixels; choose .png or .tiff"):
        check_size(Path(f"a{suffix}"), 1, side)


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65500), (".webp", 16383), (".avif", 16384)])
def test_the_largest_side_of_a_format_is_written(tmp_path, suffix, side):
    path = sent(tmp_path / f"a{suffix}", np.full((1, side, 3), 0.5, np.float32))
    assert open_image(path).header.width == side


def test_a_large_tiff_is_tiled(tmp_path):
    path = tmp_path / "a.tiff"
    with Sink(path, 9000, 8000, Header(9000, 8000, grey=True)) as sink:
        for _ in range(9):
            sink.write(np.zeros((1000, 8000, 3), np.float32))
    assert 322 in PIL.Image.open(path).tag_v2


def test_a_very_large_tiff_is_a_bigtiff():
    from mmsr_core.runtime.image.encode import is_big

    assert is_big(50_000, 20_000, 3, 8)
    assert not is_big(20_000, 20_000, 3, 8)
