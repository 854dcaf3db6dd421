"""Every source gets its target before any work, or none does."""

import os
from pathlib import Path

import pytest

from mmsr_core.errors import ImageError, MmsrError
from mmsr_core.runtime.files import Naming, Task, list_files, make_folders, plan_tasks


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "deep/b.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text("old")
    return tmp_path / "photos"


def kept(suffix):
    return suffix


def plan(inputs, naming, existing="refuse"):
    listing = list_files(inputs, None, (".png", ".jpg"))
    return plan_tasks(listing, naming, existing, lambda task: None)


def targets(tasks, folder):
    return [task.target.relative_to(folder).as_posix() for task in tasks]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{stem}", ["a.png", "deep/b.png"]),
        ("{stem}-x4", ["a-x4.png", "deep/b-x4.png"]),
        ("{stem}.{suffix}", ["a.png.png", "deep/b.png.png"]),
        ("{suffix}_{stem}", ["png_a.png", "deep/png_b.png"]),
    ],
)
def test_a_pattern_names_every_answer(photos, tmp_path, pattern, expected):
    tasks, _ = plan([photos], Naming(tmp_path / "out", kept, pattern))
    assert targets(tasks, tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        *(("large", "at least one"), ("", "at least one"), ("{name}", "made of {stem} and")),
        *(("{stem.__class__}", "made of"), ("{stem!r}", "made of"), ("{stem:>9}", "made of")),
        *(("{}", "made of"), ("{stem", "expected '}'"), ("../{stem}", "not a folder")),
        *(("a\\{stem}", "not a folder"), (".{stem}", "would hide every file")),
    ],
)
def test_a_pattern_that_names_no_file_is_refused(pattern, reason):
    with pytest.raises(MmsrError) as caught:
        Naming(Path("out"), kept, pattern)
    assert str(caught.value).startswith(f'--name "{pattern}": ')
    assert reason in str(caught.value)


def test_a_suffix_of_its_own_is_given_to_every_answer(photos, tmp_path):
    tasks, _ = plan([photos], Naming(tmp_path / "out", lambda suffix: ".webp"))
    assert targets(tasks, tmp_path / "out") == ["a.webp", "deep/b.webp"]


def test_two_that_would_write_one_file_are_refused(photos, tmp_path):
    (photos / "a.jpg").touch()
    with pytest.raises(ImageError, match="would both be written to"):
        plan([photos], Naming(tmp_path / "out", lambda suffix: ".png"))


def test_an_answer_that_exists_is_refused_before_any_work(photos, tmp_path):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "b.png").touch()
    with pytest.raises(ImageError, match=r"b\.png exists already; --overwrite replaces"):
        plan([photos], Naming(tmp_path / "out", kept))


def test_how_many_answers_exist_is_said(photos, tmp_path):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.png"):
        (tmp_path / "out" / name).touch()
    with pytest.raises(ImageError, match=r"a\.png and 1 more exist already"):
        plan([photos], Naming(tmp_path / "out", kept))


def test_overwrite_takes_what_exists(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").touch()
    tasks, finished = plan([photos], Naming(tmp_path / "out", kept), "overwrite")
    assert (len(tasks), finished) == (2, [])


def test_resume_passes_over_what_is_finished(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").touch()
    tasks, finished = plan([photos], Naming(tmp_path / "out", kept), "resume")
    assert targets(tasks, tmp_path / "out") == ["deep/b.png"]
    assert targets(finished, tmp_path / "out") == ["a.png"]


def test_resume_takes_again_what_is_older_than_its_source(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").touch()
    os.utime(tmp_path / "out" / "a.png", (1, 1))
    tasks, _ = plan([photos], Naming(tmp_path / "out", kept), "resume")
    assert len(tasks) == 2


def test_an_image_without_its_map_is_not_finished(photos, tmp_path):
    (tmp_path / "large.png").touch()
    task = Task(photos / "a.png", tmp_path / "large.png", tmp_path / "map.png")
    assert not task.is_finished()
    (tmp_path / "map.png").touch()
    assert task.is_finished()


@pytest.mark.parametrize("existing", ["refuse", "overwrite", "resume"])
def test_no_input_is_written_over(photos, existing):
    with pytest.raises(ImageError, match=r"a\.png: is the input itself"):
        plan([photos], Naming(photos, kept), existing)


@pytest.mark.parametrize("existing", ["refuse", "overwrite"])
def test_no_other_input_is_written_over(photos, existing):
    (photos / "a-x4.png").touch()
    with pytest.raises(ImageError, match=r"a-x4\.png: is the input itself"):
        plan([photos], Naming(photos, kept, "{stem}-x4"), existing)


def test_a_hard_link_to_the_input_is_the_input(photos, tmp_path):
    os.link(photos / "a.png", tmp_path / "large.png")
    with pytest.raises(ImageError, match=r"large\.png: is the input itself"):
        plan([photos / "a.png"], Naming(tmp_path / "large.png", kept), "overwrite")


def test_answers_beside_their_sources_are_no_inputs_of_the_next_run(photos):
    naming = Naming(photos, kept, "{stem}-x4")
    (photos / "a-x4.png").touch()
    tasks, finished = plan([photos], naming, "resume")
    assert targets(finished, photos) == ["a-x4.png"]
    assert targets(tasks, photos) == ["deep/b-x4.png"]


def test_a_task_that_can_not_be_written_is_refused_before_any_folder_is_made(photos, tmp_path):
    def check(task):
        raise ImageError("no")

    listing = list_files([photos], None, (".png",))
    with pytest.raises(ImageError, match="no"):
        plan_tasks(listing, Naming(tmp_path / "out", kept), "refuse", check)
    assert not (tmp_path / "out").exists()


def test_the_folders_of_all_tasks_are_made(photos, tmp_path):
    tasks, _ = plan([photos], Naming(tmp_path / "out", kept, map=tmp_path / "maps"))
    made = [folder.relative_to(tmp_path).as_posix() for folder in make_folders(tasks)]
    assert made == ["out", "maps", "out/deep", "maps/deep"]
    assert (tmp_path / "maps" / "deep").is_dir()


def test_a_folder_that_can_not_be_made_is_one_line(photos, tmp_path):
    (tmp_path / "out").write_text("in the way")
    tasks = [Task(photos / "a.png", tmp_path / "out" / "deep" / "a.png")]
    with pytest.raises(ImageError, match="cannot make this folder"):
        make_folders(tasks)
