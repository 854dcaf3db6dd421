"""The report of a batch, written as it goes, and what is said meanwhile."""

import json

import pytest

from mmsr_core.cli import meter
from mmsr_core.cli.files import json_rows
from mmsr_core.errors import MmsrError


def test_rows_become_one_document(tmp_path):
    with json_rows(tmp_path / "a.json", {"model": "m"}) as add:
        add({"n": 1})
        add({"n": 2})
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == {"model": "m", "images": [{"n": 1}, {"n": 2}]}


def test_without_facts_and_rows_it_is_a_document_all_the_same(tmp_path):
    with json_rows(tmp_path / "a.json", {}):
        pass
    assert json.loads((tmp_path / "a.json").read_text()) == {"images": []}


def test_a_batch_that_is_stopped_leaves_the_rows_that_there_were(tmp_path):
    with pytest.raises(KeyboardInterrupt), json_rows(tmp_path / "a.json", {}) as add:
        stop_after(add)
    assert json.loads((tmp_path / "a.json").read_text()) == {"images": [{"n": 1}]}


def stop_after(add):
    add({"n": 1})
    raise KeyboardInterrupt


def test_a_disc_that_is_full_ends_no_batch_but_is_said_at_its_end(tmp_path, monkeypatch):
    def full(rows, row):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmsr_core.cli.files._Rows.add", full)
    went_on = []
    with (
        pytest.raises(MmsrError, match=r"a\.json: cannot write it \(No space left"),
        json_rows(tmp_path / "a.json", {}) as add,
    ):
        went_on += [add({}), add({})]
    assert len(went_on) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(meter, "_EVERY", 0.0)
    with meter.Meter(4) as shown:
        shown.ended(2_000_000)
        shown.watch(0.25)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("upscaling: 1/4 images, ")
    assert "MP/s, 25%, 00:00:0" in line


def test_a_log_of_a_short_run_stays_empty(capsys):
    with meter.Meter(1) as shown:
        shown.watch(0.5)
    assert capsys.readouterr().err == ""


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch):
    def gone(*words, **others):
        raise BrokenPipeError

    monkeypatch.setattr(meter, "_EVERY", 0.0)
    monkeypatch.setattr("click.echo", gone)
    shown = meter.Meter(1)
    shown.watch(0.5)
    shown.say("a line")
    meter.name_failures(["a.png: bad"])


def test_a_name_with_escapes_is_shown_without_them(capsys):
    meter.name_failures(["\x1b[2Jevil\n.png: bad"])
    assert capsys.readouterr().err == "failed:  [2Jevil .png: bad\n"
