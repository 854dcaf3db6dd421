"""What goes where when some of it lies at URLs."""

import os
from pathlib import Path

import pytest

from mmsr_core.cluster.errand import Errand, carry_out
from mmsr_core.cluster.plan import Request, plan_errands
from mmsr_core.errors import ImageError
from mmsr_core.runtime.files import Naming

IMAGES = (".png", ".jpg")
PHOTOS = ("a.png", "b.jpg", "deep/c.png")


@pytest.fixture
def full(bucket):
    for name in PHOTOS:
        bucket.pipe_file(f"shop/in/{name}", b"")
    return bucket


@pytest.fixture
def near(tmp_path):
    for name in PHOTOS:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def plan(*inputs, output, existing="refuse", pattern="{stem}", listed=None, painted=None):
    naming = Naming(Path(), lambda suffix: suffix, pattern)
    request = Request(inputs, listed, output, painted, naming, IMAGES, (".mp4",))
    return plan_errands(request, existing, lambda errand: None)


def test_a_bucket_goes_to_a_bucket_with_its_tree(full):
    found = plan("s3://shop/in", output="s3://shop/out/").errands
    assert found == [Errand(f"s3://shop/in/{n}", f"s3://shop/out/{n}") for n in PHOTOS]


def test_a_bucket_goes_to_a_folder_and_a_folder_to_a_bucket(full, near, tmp_path):
    down = plan("s3://shop/in", output=tmp_path / "out").errands
    assert [one.target for one in down] == [str(tmp_path / "out" / name) for name in PHOTOS]
    up = plan(near, output="s3://shop/out").errands
    assert {(one.source, one.target) for one in up} == {
        (str(near / name), f"s3://shop/out/{name}") for name in PHOTOS
    }


def test_one_file_gets_the_name_that_it_is_given(full):
    (one,) = plan("s3://shop/in/a.png", output="s3://shop/large.png").errands
    assert one.target == "s3://shop/large.png"
    (one,) = plan("s3://shop/in/a.png", output="s3://shop/large").errands
    assert one.target == "s3://shop/large/a.png"


def test_a_list_names_urls_and_paths(full, near, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["s3://shop/in/b.jpg", "in/a.png", "in/none.png"]
    made = plan(output="s3://shop/out", listed=lines)
    assert {(one.source, one.target) for one in made.errands} == {
        ("s3://shop/in/b.jpg", "s3://shop/out/b.jpg"),
        (str(tmp_path / "in" / "a.png"), "s3://shop/out/in/a.png"),
    }
    assert made.refused == [("in/none.png", "no such file or folder")]


def test_maps_have_places_of_their_own(full):
    first, *_ = plan("s3://shop/in", output="s3://shop/out", painted="s3://shop/maps").errands
    assert first.map == "s3://shop/maps/a.png"


def test_what_exists_is_refused_overwritten_or_left_as_it_was_asked(full):
    full.pipe_file("shop/out/b.jpg", b"")
    with pytest.raises(ImageError, match=r"^s3://shop/out/b\.jpg exists already; --overwrite"):
        plan("s3://shop/in", output="s3://shop/out")
    assert len(plan("s3://shop/in", output="s3://shop/out", existing="overwrite").errands) == 3
    resumed = plan("s3://shop/in", output="s3://shop/out", existing="resume")
    assert [one.target for one in resumed.finished] == ["s3://shop/out/b.jpg"]
    assert len(resumed.errands) == 2


def test_an_answer_older_than_its_source_is_not_finished(full, near):
    for name in PHOTOS:
        full.pipe_file(f"shop/out/{name}", b"")
        os.utime(near / name, (1e9, 1e9))
    os.utime(near / "a.png", (2e9, 2e9))
    resumed = plan(near, output="s3://shop/out", existing="resume")
    assert [one.target for one in resumed.errands] == ["s3://shop/out/a.png"]


def test_answers_beside_their_sources_are_no_sources_of_the_next_run(full):
    options = {"output": "s3://shop/in", "pattern": "{stem}-x4", "existing": "resume"}
    for one in plan("s3://shop/in", **options).errands[:2]:
        full.pipe_file(one.target.removeprefix("s3://"), b"")
    resumed = plan("s3://shop/in", **options)
    assert [one.source for one in resumed.errands] == ["s3://shop/in/deep/c.png"]
    assert len(resumed.finished) == 2


def test_an_output_inside_the_input_is_no_input(full):
    full.pipe_file("shop/in/out/a.png", b"")
    resumed = plan("s3://shop/in", output="s3://shop/in/out", existing="resume")
    assert len(resumed.errands + resumed.finished) == 3


@pytest.mark.parametrize(
    ("inputs", "output", "line"),
    [
        (["s3://shop/in"], "s3://shop/in", "s3://shop/in/a.png: is an input itself"),
        (["s3://shop/in/a.png"], "s3://shop/in/a.png", "is an input itself"),
        (["s3://shop/in/a.png", "s3://shop/other/a.png"], "s3://shop/out", "would both be written"),
        (["s3://shop/none"], "s3://shop/out", "s3://shop/none: no such file or folder"),
        (["s3://shop/in/*.gif"], "s3://shop/out", "no image there"),
        (["s3://shop/in"], "https://elsewhere/out", "a web server takes no files"),
        (["s3://shop/in"], "s3://none/out", "s3://none/out: no such file or folder"),
    ],
)
def test_what_can_not_be_is_one_line_before_any_work(full, inputs, output, line):
    full.pipe_file("shop/other/a.png", b"")
    with pytest.raises(ImageError, match=line):
        plan(*inputs, output=output)


def test_a_name_never_leads_out_of_the_output(full, tmp_path):
    full.pipe_file("shop/in/../../evil.png", b"")
    made = plan("s3://shop/in", output=tmp_path / "out")
    assert all(Path(one.target).is_relative_to(tmp_path / "out") for one in made.errands)
    assert [Path(one.target).name for one in made.errands] == ["a.png", "b.jpg", "c.png"]


def test_a_message_names_the_url_and_not_the_place_where_it_was_looked_at(full):
    def upscale(task, progress):
        raise ImageError(f"{task.source}: not an image")

    with pytest.raises(ImageError, match=r"^s3://shop/in/a\.png: not an image$"):
        carry_out(Errand("s3://shop/in/a.png", "s3://shop/out/a.png"), upscale, print)
    assert full.find("shop/out") == []
