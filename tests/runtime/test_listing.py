"""Files, folders, patterns and lists become files with their places."""

import os
from pathlib import Path

import pytest

from mmsr_core.errors import ImageError
from mmsr_core.runtime.files import list_files

IMAGES, OTHERS = (".png", ".jpg"), (".mp4",)


@pytest.fixture
def photos(tmp_path):
    """A folder of photographs, and of what is none."""
    folder = tmp_path / "photos"
    for name in (
        *("b.png", "a.JPG", "deep/er/c.jpg", "deep/b.png"),
        *("notes.txt", "clip.mp4", ".hidden.png", ".thumbs/a.png"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(inputs, listed=None, aside=None):
    listing = list_files(inputs, listed, IMAGES, OTHERS, aside)
    return [one.place.as_posix() for one in listing.found]


def test_a_folder_gives_its_images_and_keeps_its_tree(photos):
    assert found([photos]) == ["a.JPG", "b.png", "deep/b.png", "deep/er/c.jpg"]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(photos):
    assert found([photos / "notes.txt", photos / "clip.mp4"]) == ["notes.txt", "clip.mp4"]


def test_what_is_named_twice_is_meant_once(photos):
    assert found([photos / "b.png", photos / "b.png"]) == ["b.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("**/*.png", ["b.png", "deep/b.png"]),
        ("**/*.jpg", ["deep/er/c.jpg"]),
        ("deep/**", ["deep/b.png", "deep/er/c.jpg"]),
        ("d*/b.png", ["deep/b.png"]),
        ("**/er/*", ["deep/er/c.jpg"]),
        ("[ab].*", ["a.JPG", "b.png"]),
        ("?.png", ["b.png"]),
        ("*", ["a.JPG", "b.png", "clip.mp4"]),
    ],
)
def test_a_pattern_gives_what_it_matches(photos, pattern, expected):
    prefix = "deep/" if pattern == "deep/**" else ""
    assert found([photos / pattern]) == [place.removeprefix(prefix) for place in expected]


def test_a_file_with_a_wildcard_in_its_name_is_a_file(photos):
    (photos / "b[1].png").touch()
    assert found([photos / "b[1].png"]) == ["b[1].png"]


def test_a_pattern_that_matches_nothing_is_refused(photos):
    with pytest.raises(ImageError, match="no image matches this pattern"):
        found([photos / "*.tif"])


def test_a_pattern_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no image matches this pattern"):
        found([tmp_path / "gone" / "*.png"])


def test_an_input_that_is_not_there_is_refused(photos):
    with pytest.raises(ImageError, match=r"gone\.png: no such file or folder"):
        found([photos, photos / "gone.png"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_a_pipe_is_refused_and_not_waited_for(photos):
    os.mkfifo(photos / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png: neither a file nor a folder"):
        found([photos / "pipe.png"])
    assert "pipe.png" not in found([photos])
    listing = list_files([], [str(photos / "pipe.png")], IMAGES)
    assert listing.refused == [(photos / "pipe.png", "neither a file nor a folder")]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"no image in this folder \(\.png \.jpg\)"):
        found([tmp_path])


def test_a_relative_path_in_a_list_keeps_its_folders(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert found([], ["deep/er/c.jpg", "./b.png"]) == ["deep/er/c.jpg", "b.png"]


def test_no_path_in_a_list_leads_out_of_the_output(photos, monkeypatch):
    monkeypatch.chdir(photos / "deep")
    assert found([], ["../b.png", str(photos / "a.JPG"), "er/../b.png"]) == [
        *("b.png", "a.JPG", "b.png")
    ]


def test_a_folder_in_a_list_keeps_its_tree(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert found([], ["deep"]) == ["deep/b.png", "deep/er/c.jpg"]


def test_a_path_of_a_list_that_is_not_there_is_refused_alone(photos):
    listing = list_files([], [str(photos / "gone.png"), str(photos / "b.png")], IMAGES)
    assert [one.source for one in listing.found] == [photos / "b.png"]
    assert listing.refused == [(photos / "gone.png", "no such file or folder")]


def test_an_empty_list_is_refused():
    with pytest.raises(ImageError, match="the list on standard input names no file"):
        found([], [])


def test_links_that_lead_round_are_harmless(photos):
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "aaa").symlink_to(photos / "deep")
    (photos / "self").symlink_to("self")
    assert found([photos]) == ["a.JPG", "b.png", "deep/b.png", "deep/er/c.jpg"]


def test_a_link_to_a_folder_elsewhere_is_followed(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.png").touch()
    (photos / "more").symlink_to(tmp_path / "elsewhere")
    assert "more/e.png" in found([photos])


def test_a_link_to_nothing_is_named(photos):
    (photos / "lost.png").symlink_to("nowhere.png")
    listing = list_files([photos], None, IMAGES)
    assert listing.refused == [(photos / "lost.png", "a link to a file that is not there")]


def test_the_output_folder_is_no_input(photos):
    (photos / "large").mkdir()
    (photos / "large" / "b.png").touch()
    assert "large/b.png" not in found([photos], aside=photos / "large")
    assert found([photos / "large"], aside=photos / "large") == ["b.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_a_folder_that_may_not_be_listed_stops_no_other(photos, monkeypatch):
    listed = os.scandir

    def refuse(folder):
        if Path(folder).name == "deep":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    listing = list_files([photos], None, IMAGES)
    assert [one.source.name for one in listing.found] == ["a.JPG", "b.png"]
    assert listing.refused == [(photos / "deep", "cannot list it (Permission denied)")]


def test_the_order_is_that_of_names_whatever_the_disc_says(photos):
    for name in ("z.png", "m.png", "c.png"):
        (photos / name).touch()
    assert found([photos]) == sorted(found([photos]))
