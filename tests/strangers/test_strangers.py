"""A small part of the fuzzing, each time with the same files; fuzz.py does the rest."""

from collections import Counter

import pytest
from fuzz import cases, run
from mutate import chunks, with_checksums
from seeds import write_images

from mmsr_core.runtime.image import open_image


@pytest.fixture(scope="module")
def done():
    return run(100, seed=1)


def test_no_faulty_file_crashes_hangs_prints_or_leaves_anything(done):
    assert [f"{case.path.name}: {case.fault}" for case in done if case.fault] == []


def test_faulty_files_of_every_kind_are_refused_and_some_are_sound_still(done):
    counts = Counter((case.kind, case.outcome) for case in done)
    kinds = {"image", "zip", "manifest", "graph"}
    assert {kind for kind, outcome in counts if outcome == "refused"} == kinds
    assert counts["image", "sound"] > 0


def files(case):
    paths = [case.path] if case.path.is_file() else sorted(case.path.rglob("*.*"))
    return case.name, case.suffix, [path.read_bytes() for path in paths]


def test_the_same_seed_makes_the_same_files(tmp_path):
    one, other = (
        [files(case) for case in cases(tmp_path / name, 40, seed=5)] for name in ("one", "other")
    )
    assert one == other


def test_every_seed_is_a_sound_image(tmp_path):
    for path in write_images(tmp_path):
        picture = open_image(path)
        rows = sum(len(strip) for strip in picture.colour.strips(16))
        assert rows == picture.header.height, path.name


def test_a_png_taken_apart_and_put_together_is_the_same(tmp_path):
    write_images(tmp_path)
    png = (tmp_path / "plain.png").read_bytes()
    assert len(chunks(png)) > 3
    assert b"".join(chunks(png)) == with_checksums(png) == png
