"""Unlabelled images from a folder, a zip, or a store."""

import zipfile

import cv2
import numpy as np
import pytest

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.train.pictures import open_pictures


def ignore(what, done, total):
    pass


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def png(height, width, seed=0):
    return cv2.imencode(".png", picture(height, width, seed)[..., ::-1])[1].tobytes()


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    for name, size in (("a.png", (50, 70)), ("b/c.png", (40, 33))):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(png(*size))
    return path


def test_photographs_are_cut_into_tiles_without_their_rests(folder):
    found = open_pictures(folder, ignore, 12, 16)
    assert (len(found), found.side) == (3 * 4 + 2 * 2, 16)
    assert found.note == "photos, 2 images"
    first = picture(50, 70)
    np.testing.assert_array_equal(found.read(np.array([0, 5]))[1], first[16:32, 16:32])


def test_whole_images_become_squares_somewhat_larger_than_a_view(folder):
    found = open_pictures(folder, ignore, 28, 0)
    assert found.read(np.arange(2)).shape == (2, 32, 32, 3)


def test_whole_images_are_as_large_as_the_smallest_where_that_has_less(folder):
    found = open_pictures(folder, ignore, 32, 0)
    assert found.read(np.arange(2)).shape == (2, 33, 33, 3)


def test_images_of_the_views_size_are_taken_as_they_are(tmp_path):
    path = zipped(tmp_path / "small.zip", {f"{i}.png": png(32, 32, i) for i in range(3)})
    found = open_pictures(path, ignore, 32, 0)
    np.testing.assert_array_equal(found.read(np.array([2]))[0], picture(32, 32, 2))


def test_images_to_test_on_are_left_out(tmp_path):
    names = ["set/train/cat/1.png", "set/train/dog/2.png", "set/test/cat/3.png"]
    members = {name: png(32, 32, i) for i, name in enumerate(names)}
    found = open_pictures(zipped(tmp_path / "set.zip", members), ignore, 32, 0)
    assert len(found) == 2
    assert found.note == "set.zip, 2 images, train"


def test_a_folder_called_train_alone_is_only_a_folder(tmp_path):
    members = {"train/1.png": png(32, 32), "more/2.png": png(32, 32, 1)}
    assert len(open_pictures(zipped(tmp_path / "set.zip", members), ignore, 32, 0)) == 2


def test_a_store_gives_its_lr_tiles(tmp_path, folder):
    from importlib.metadata import EntryPoint

    from mmsr_core.plugin.catalog import Catalog
    from mmsr_core.train.prepare.passes import prepare
    from mmsr_core.train.prepare.request import Request

    catalog = Catalog.load([EntryPoint("texture", "mmsr_texture", "mmsr")])
    request = Request(scale=2, tile=8, overlap=0, shrink=(1,), extractor="texture")
    store = prepare(request, folder, tmp_path / "tiles", catalog, 1, ignore)
    found = open_pictures(tmp_path / "tiles", ignore, 32, 48)
    rows = np.array([len(store) - 1, 0, 3])
    assert (len(found), found.side) == (len(store), 8)
    np.testing.assert_array_equal(found.read(rows), store.read(rows)[0])


@pytest.mark.parametrize(("side", "cut", "says"), [(36, 0, "views of 36"), (16, 36, "tiles of 36")])
def test_a_small_image_is_named_in_one_line(folder, side, cut, says):
    with pytest.raises(RecipeError, match=rf"b/c\.png: 33x40 pixels are too few for {says}"):
        open_pictures(folder, ignore, side, cut)


def test_nothing_to_learn_from_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    for path, says in (
        (tmp_path / "nowhere", "no such file"),
        (tmp_path / "text.zip", "as a zip"),
        (zipped(tmp_path / "empty.zip", {"readme.txt": b"hello"}), "no image in this zip"),
    ):
        with pytest.raises(RecipeError, match=says):
            open_pictures(path, ignore, 32, 0)


def test_a_damaged_image_is_named_in_one_line(tmp_path):
    path = zipped(tmp_path / "set.zip", {"a.png": png(32, 32), "b.png": b"hello"})
    with pytest.raises(ImageError, match=r"b\.png: not an image"):
        open_pictures(path, ignore, 32, 0)
