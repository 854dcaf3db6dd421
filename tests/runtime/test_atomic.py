"""Files that appear whole or not at all, and leftovers of the dead."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mmsr_core.runtime.atomic import drop_own, is_being_written, is_part, replacing, sweep

ROOT = Path(__file__).parents[2]
WRITER = """
import sys, time
from pathlib import Path
from mmsr_core.runtime.atomic import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Another process that is writing `out.png` and never ends."""
    words = [sys.executable, "-c", WRITER, str(tmp_path / "out.png")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_when_the_block_ends(tmp_path):
    with replacing(tmp_path / "new" / "a.txt") as part:
        part.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["a.txt"]


def test_what_raises_changes_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("before")
    with suppress(ZeroDivisionError), replacing(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_both_end_well(tmp_path):
    with replacing(tmp_path / "a.txt") as one, replacing(tmp_path / "a.txt") as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert (tmp_path / "a.txt").read_text() == "one"  # whoever ends last
    assert names(tmp_path) == ["a.txt"]


def test_a_name_may_be_as_long_as_names_get(tmp_path):
    with replacing(tmp_path / ("n" * 251 + ".png")) as part:
        part.write_text("whole")
    assert len(names(tmp_path)[0]) == 255


def test_a_file_keeps_the_rights_that_new_files_get(tmp_path):
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_living_process_is_left_alone(tmp_path, writer):
    assert is_being_written(tmp_path / "out.png")
    assert not is_being_written(tmp_path / "other.png")
    assert sweep(tmp_path) == 0
    assert len(names(tmp_path)) == 1


def test_what_this_process_writes_is_left_alone(tmp_path):
    with replacing(tmp_path / "a.txt"):
        assert is_being_written(tmp_path / "a.txt")
        assert sweep(tmp_path) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_process_leaves_is_recognised_and_removed(tmp_path, writer):
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    (left,) = names(tmp_path)
    assert is_part(left)
    assert not is_being_written(tmp_path / "out.png")
    assert sweep(tmp_path) == 1
    assert names(tmp_path) == []


def test_a_sweep_touches_nothing_else(tmp_path):
    for name in ("a.part", ".mmsr-notes.txt", ".hidden.part"):
        (tmp_path / name).write_text("mine")
    assert sweep(tmp_path) == 0
    assert len(names(tmp_path)) == 3


def test_a_sweep_of_a_folder_that_is_gone_finds_nothing(tmp_path):
    assert sweep(tmp_path / "gone") == 0


def test_who_must_leave_at_once_drops_its_own_alone(tmp_path, writer):
    with suppress(FileNotFoundError), replacing(tmp_path / "a.txt"):
        drop_own(tmp_path)
        left = names(tmp_path)
    assert len(left) == 1
    assert is_being_written(tmp_path / "out.png")
