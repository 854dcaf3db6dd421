import json
import pickle

import numpy as np
import pytest

from mmsr_core.errors import RecipeError
from mmsr_core.train.prepare.passes import prepare
from mmsr_core.train.prepare.request import Request
from mmsr_core.train.prepare.store import Store


@pytest.fixture(scope="session")
def finished(tmp_path_factory, catalog):
    """A small store, not to be changed."""
    import cv2

    root = tmp_path_factory.mktemp("store")
    (root / "photos").mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 48, 3), np.uint8)
        cv2.imwrite(str(root / "photos" / f"{index}.png"), pixels)
    request = Request(scale=2, tile=8, share=0.3)
    return prepare(request, root / "photos", root / "out", catalog, 1, lambda *_: None)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the store, to be spoiled."""
    from shutil import copytree

    return copytree(finished.directory, tmp_path / "copy")


def test_tiles_are_read_at_random_in_the_order_asked(finished):
    lr, hr = finished.read(np.arange(len(finished)))
    rows = np.random.default_rng(0).integers(0, len(finished), 50)
    some_lr, some_hr = finished.read(rows)
    assert np.array_equal(some_lr, lr[rows])
    assert np.array_equal(some_hr, hr[rows])
    assert (lr.dtype, hr.dtype) == (np.uint8, np.uint8)
    assert (lr.shape[1:], hr.shape[1:]) == ((8, 8, 3), (16, 16, 3))


def test_reading_no_tile_gives_none(finished):
    assert [len(tiles) for tiles in finished.read(np.zeros(0, np.int64))] == [0, 0]


@pytest.mark.parametrize("row", [-1, 10**6])
def test_a_tile_that_is_not_there_is_not_read(finished, row):
    with pytest.raises(IndexError, match="no stored tile"):
        finished.read(np.array([row]))


def test_stored_tiles_follow_the_index(finished):
    assert len(finished.rows) == len(finished) == finished.facts["tiles"]["kept"]
    assert finished.index.kept[finished.rows].all()
    assert np.array_equal(finished.photo_of, finished.index.photo[finished.rows])


def test_shards_are_mapped_not_loaded(finished):
    assert all(isinstance(array, np.memmap) for shard in finished.shards for array in shard)


def test_a_pickled_store_opens_itself_again(finished):
    data = pickle.dumps(finished)
    assert len(data) < 1000
    again = pickle.loads(data)
    assert np.array_equal(again.read(np.array([3]))[1], finished.read(np.array([3]))[1])


@pytest.mark.parametrize("kind", ["lr", "hr"])
def test_a_shard_cut_short_is_refused(copy, kind):
    path = copy / "shards" / f"0000-{kind}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecipeError, match=rf"0000-{kind}\.npy: this shard .* is cut short"):
        Store.open(copy)


def test_a_missing_shard_is_refused(copy):
    (copy / "shards" / "0000-hr.npy").unlink()
    with pytest.raises(RecipeError, match=r"0000-hr\.npy: this shard of the store is missing"):
        Store.open(copy)


def test_another_stores_shard_is_refused(copy):
    np.save(copy / "shards" / "0000-lr.npy", np.zeros((5, 8, 8, 3), np.uint8))
    with pytest.raises(RecipeError, match="not the store's own"):
        Store.open(copy)


def test_an_index_of_other_tiles_is_refused(copy):
    with np.load(copy / "index.npz") as arrays:
        changed = dict(arrays) | {"kept": np.ones(len(arrays["kept"]), bool)}
    np.savez(copy / "index.npz", **changed)
    with pytest.raises(RecipeError, match="shards and index disagree"):
        Store.open(copy)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more"])
def test_a_damaged_index_is_refused(copy, content):
    (copy / "index.npz").write_bytes(content)
    with pytest.raises(RecipeError, match="cannot read the store's index"):
        Store.open(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "a store of format 2, and this mmsr reads 1"),
        ({"shards": "many"}, "damaged"),
        ({"sources": [{}]}, "damaged"),
    ],
)
def test_a_store_that_says_otherwise_is_refused(copy, change, message):
    facts = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps(facts | change))
    with pytest.raises(RecipeError, match=message):
        Store.open(copy)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"not a store, it has no store\.json"):
        Store.open(tmp_path)


def test_an_unfinished_store_says_how_to_finish_it(copy):
    (copy / "store.json").unlink()
    (copy / "unfinished").mkdir()
    with pytest.raises(RecipeError, match="unfinished; repeat its mmsr prepare"):
        Store.open(copy)
