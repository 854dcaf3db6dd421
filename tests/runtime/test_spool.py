"""An image between two passes."""

import errno
import tempfile

import numpy as np
import pytest

from mmsr_core.errors import ImageError
from mmsr_core.runtime import spool
from mmsr_core.runtime.spool import Spool, memory_needed


def noise(height, width):
    return np.random.default_rng(height).random((height, width, 3), np.float32)


@pytest.fixture(params=["memory", "file"])
def place(request, monkeypatch):
    """Spools are kept in memory, or all of them on disk."""
    if request.param == "file":
        monkeypatch.setattr(spool, "HOLD", 0)
    return request.param


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_what_was_spooled_comes_back_in_any_strips(place, rows):
    image = noise(45, 30)
    kept = Spool(iter([image[:20], image[20:21], image[21:]]), 45, 30)
    for _ in range(2):
        strips = list(kept.strips(rows))
        assert [len(strip) for strip in strips[:-1]] == [rows] * (len(strips) - 1)
        np.testing.assert_allclose(np.concatenate(strips), image, atol=0.6 / 65535)


def test_two_readers_do_not_disturb_each_other(place):
    image = noise(40, 30)
    kept = Spool(iter([image]), 40, 30)
    pairs = zip(kept.strips(5), kept.strips(5), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_spool_on_disk_reads_the_bits_of_one_in_memory(monkeypatch):
    image = noise(40, 30)
    (in_memory,) = Spool(iter([image]), 40, 30).strips(40)
    monkeypatch.setattr(spool, "HOLD", 0)
    (on_disk,) = Spool(iter([image]), 40, 30).strips(40)
    np.testing.assert_array_equal(on_disk, in_memory)


def test_what_overshoots_is_clipped(place):
    image = np.stack([np.full((3, 5, 3), value, np.float32) for value in (-0.2, 1.2)])
    kept = Spool(iter(image), 6, 5)
    (strip,) = kept.strips(6)
    assert (strip.min(), strip.max()) == (0, 1)


def test_a_large_spool_holds_no_memory(monkeypatch):
    assert memory_needed(1000, 1000) == 6 * 1000 * 1000
    assert memory_needed(10_000, 10_000) == 0


def test_no_file_is_left_when_a_pass_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(spool, "HOLD", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def rows():
        yield noise(5, 5)
        raise RuntimeError("the pass failed")

    with pytest.raises(RuntimeError, match="the pass failed"):
        Spool(rows(), 10, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_line(monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "HOLD", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda prefix: Full())
    with pytest.raises(ImageError, match=r"No space left on device.*TMPDIR.*MiB"):
        Spool(iter([noise(5, 5)]), 5, 5)


def test_a_missing_temporary_folder_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(spool, "HOLD", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ImageError, match=r"can't be kept in .*gone"):
        Spool(iter([noise(5, 5)]), 5, 5)
