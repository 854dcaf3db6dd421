import io
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.errors import ImageError, MmsrError
from mmsr_massrl.datasets import labelled_rows, open_dataset, stratified


def png(value, height=12, width=12):
    """An image of one grey, as a file's bytes."""
    return cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes()


def files(counts, root=""):
    """name → bytes for {"train/cat": 3, …}."""
    return {
        f"{root}{folder}/{index}.png": png(index)
        for folder, count in counts.items()
        for index in range(count)
    }


SPLIT = {"train/cat": 3, "train/dog": 4, "test/cat": 2, "test/dog": 1}


def write_folder(path, found):
    for name, data in found.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_zip(path, found):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in found.items():
            archive.writestr(name, data)
    return path


def write_index(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def counted(path):
    with open_dataset(path) as dataset:
        train, test = np.bincount(dataset.train.labels), np.bincount(dataset.test.labels)
        return dataset.classes, train.tolist(), test.tolist(), dataset.held_out


@pytest.mark.parametrize("root", ["", "animals/"])
def test_a_zip_of_class_folders_has_its_splits_with_or_without_a_top_folder(tmp_path, root):
    path = write_zip(tmp_path / "a.zip", files(SPLIT, root))
    assert counted(path) == (("cat", "dog"), [3, 4], [2, 1], False)


def test_a_folder_says_the_same_as_its_zip(tmp_path):
    path = write_folder(tmp_path / "a", files(SPLIT))
    assert counted(path) == (("cat", "dog"), [3, 4], [2, 1], False)


def test_without_a_test_split_a_fifth_of_every_class_is_held_out(tmp_path):
    path = write_folder(tmp_path / "a", files({"cat": 10, "dog": 5}))
    assert counted(path) == (("cat", "dog"), [8, 4], [2, 1], True)


def test_an_index_names_paths_labels_and_splits(tmp_path):
    write_folder(tmp_path, files({"all": 3}))
    lines = ["path,label,split", "all/0.png,cat,train", "all/1.png,dog,train", "all/2.png,cat,test"]
    path = write_index(tmp_path / "a.csv", lines)
    assert counted(path) == (("cat", "dog"), [1, 1], [1], False)


def test_what_is_no_image_or_hidden_is_passed_over(tmp_path):
    found = files(SPLIT) | {"train/cat/notes.txt": b"x", "__MACOSX/train/cat/0.png": b"x"}
    found |= {"train/.thumbs/0.png": b"x", "README.md": b"x"}
    assert counted(write_zip(tmp_path / "a.zip", found))[1] == [3, 4]


def test_images_are_scaled_by_their_short_side_and_cut_in_the_middle(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (10, 20, 30)  # OpenCV's blue, green, red
    data = cv2.imencode(".png", wide)[1].tobytes()
    found = files({"test/cat": 1, "train/dog": 1}) | {"train/cat/0.png": data}
    path = write_zip(tmp_path / "a.zip", found)
    with open_dataset(path) as dataset, ThreadPoolExecutor() as pool:
        pixels = dataset.train.read(10, pool)
        assert dataset.train.side() == 20
    assert pixels.shape == (2, 10, 10, 3)
    assert (pixels[0] == (30, 20, 10)).all()


def test_batches_hold_every_image_once_with_its_label(tmp_path):
    path = write_folder(tmp_path / "a", files({"train/cat": 7, "train/dog": 4, "test/cat": 1}))
    with open_dataset(path) as dataset:
        order = np.random.default_rng(0).permutation(11)
        batches = list(dataset.train.batches(4, 8, order))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    values = np.concatenate([pixels[:, 0, 0, 0] for pixels, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.tolist() == [0 if row < 7 else 1 for row in order]
    assert values.tolist() == [row if row < 7 else row - 7 for row in order]


@pytest.mark.parametrize(
    "name",
    ["../cat/0.png", "/train/cat/0.png", "train/../../0.png", "C:/0.png", "a\\..\\..\\0.png"],
)
def test_a_name_that_leaves_a_zip_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", files(SPLIT) | {name: png(0)})
    with pytest.raises(MmsrError, match="leaves the data set"), open_dataset(path):
        pass


@pytest.mark.parametrize("name", ["../secret.png", "/etc/0.png"])
def test_a_path_that_leaves_an_index_is_refused(tmp_path, name):
    path = write_index(tmp_path / "a.csv", ["path,label", f"{name},cat"])
    with pytest.raises(MmsrError, match=r"line 2: the path .* leaves the data set"):
        counted(path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", files(SPLIT))
    link = zipfile.ZipInfo("train/cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(MmsrError, match="is a link"):
        counted(path)


def test_a_member_of_more_bytes_than_an_image_may_have_is_refused(tmp_path):
    big = io.BytesIO()
    with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files(SPLIT).items():
            archive.writestr(name, data)
        archive.writestr("train/cat/bomb.png", bytes(2**26 + 1))
    (tmp_path / "a.zip").write_bytes(big.getvalue())
    with open_dataset(tmp_path / "a.zip") as dataset, pytest.raises(ImageError, match="too many"):
        list(dataset.train.batches(8, 8))


@pytest.mark.parametrize(
    ("found", "match"),
    [
        ({"train/cat": 3, "test/dog": 1}, '"dog" has no image to learn from'),
        ({"train/cat": 3, "test/cat": 1}, "1 classes of images"),
        ({}, "0 classes of images"),
        ({"train": 1, "train/cat": 2, "train/dog": 2}, "lies in no class folder"),
        ({"cat": 1, "dog": 1}, "too few images to hold some out"),
    ],
)
def test_folders_that_make_no_data_set_are_refused(tmp_path, found, match):
    (tmp_path / "a").mkdir()
    with pytest.raises(MmsrError, match=match):
        counted(write_folder(tmp_path / "a", files(found)))


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["file,label"], "its heads are"),
        (["path,label", "a.png,"], "line 2: not a path and a label"),
        (["path,label", "a.png,cat,train"], "line 2: not a path and a label"),
        (["path,label,split", "a.png,cat,dev"], '"dev" is neither train nor test'),
    ],
)
def test_an_index_that_says_something_else_is_refused(tmp_path, lines, match):
    with pytest.raises(MmsrError, match=match):
        counted(write_index(tmp_path / "a.csv", lines))


@given(st.data())
def test_a_zip_with_bytes_changed_is_read_or_refused_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "a.zip"
    content = bytearray(write_zip(path, files(SPLIT)).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with suppress(MmsrError), open_dataset(path) as dataset:
        assert all(len(pixels) == len(labels) for pixels, labels in dataset.train.batches(8, 8))


@pytest.mark.parametrize("name", ["nowhere", "broken.zip", "other.tar"])
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path, name):
    if name != "nowhere":
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(MmsrError) as caught:
        counted(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_is_no_image_is_named(tmp_path):
    path = write_folder(tmp_path / "a", files(SPLIT) | {"train/cat/bad.png": b"no"})
    with open_dataset(path) as dataset, pytest.raises(ImageError, match=r"bad\.png: not an image"):
        list(dataset.train.batches(8, 8))


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(0, 5))
def test_a_stratified_part_has_its_share_of_every_class_and_grows_with_it(labels, seed):
    labels = np.array(labels)
    small, _ = stratified(labels, 0.3, seed)
    large, others = stratified(labels, 0.7, seed)
    assert set(small) <= set(large)
    assert sorted([*large, *others]) == list(range(len(labels)))
    for label in np.unique(labels):
        assert (labels[large] == label).sum() == round(0.7 * (labels == label).sum())


def test_a_share_that_leaves_a_class_empty_is_refused(tmp_path):
    path = write_folder(tmp_path / "a", files({"train/cat": 60, "train/dog": 9, "test/cat": 1}))
    with open_dataset(path) as dataset:
        assert len(labelled_rows(dataset, 0.1, seed=0)) == 7
        with pytest.raises(MmsrError, match='1% of the labels leave the class "dog" empty'):
            labelled_rows(dataset, 0.01, seed=0)


def test_images_that_are_held_are_those_that_are_read_and_only_as_many_as_may_be(tmp_path):
    path = write_folder(tmp_path / "a", files(SPLIT))
    with open_dataset(path) as dataset, ThreadPoolExecutor() as pool:
        held = dataset.train.held(8)
        assert (held.pixels == dataset.train.read(8, pool)).all()
        assert (held.pick(np.array([4, 0])).read(8, pool) == held.pixels[[4, 0]]).all()
        assert held.read(6, pool).shape == (7, 6, 6, 3)
        assert dataset.train.held(8, most=8 * 8 * 3 * 7 - 1).pixels is None
