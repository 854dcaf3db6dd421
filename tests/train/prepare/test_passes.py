import errno
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.train.data import Photo, load_pair, to_tensor
from mmsr_core.train.prepare import shards
from mmsr_core.train.prepare.cut import corners, cut
from mmsr_core.train.prepare.passes import prepare
from mmsr_core.train.prepare.preview import preview, texture
from mmsr_core.train.prepare.prune import Thresholds, three_scores
from mmsr_core.train.prepare.request import FEATURES, Request
from mmsr_core.train.prepare.scored import Scored
from mmsr_core.train.prepare.shards import Writer
from mmsr_core.train.prepare.store import Store

PRUNED = Request(scale=2, tile=8, share=0.4)


def ignore(what, done, total):
    pass


def contents(folder):
    """Every file below a folder, and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def photos(make_photos, tmp_path):
    """Five photographs, at two depths of a folder; 20 tiles of each at scale 2, tile 8."""
    make_photos(tmp_path / "photos", 3)
    make_photos(tmp_path / "photos" / "deep" / "er", 2)
    return tmp_path / "photos"


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of about 30 tiles, so that five photographs fill several."""
    monkeypatch.setattr(shards, "LARGE", 30 * PRUNED.tile_bytes)


@pytest.fixture
def make(photos, tmp_path, catalog):
    """make(request, out, report): a store of the photographs."""

    def made(request=PRUNED, out="out", report=ignore, jobs=2):
        return prepare(request, photos, tmp_path / out, catalog, jobs, report)

    return made


def test_every_tile_is_stored_with_its_lr_where_the_index_says(make, photos, small_shards):
    store = make(replace(PRUNED, share=None))
    assert len(store.shards) > 1
    assert [source.path for source in store.sources] == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.png")
    )
    lr, hr = store.read(np.arange(len(store)))
    for number, source in enumerate(store.sources):
        pair = load_pair(Photo(photos / source.path, 1, 0), 2)
        mine = store.photo_of == number
        places = corners(*pair.lr.shape[:2], 8, 0)
        assert np.array_equal(np.stack([store.index.top, store.index.left], 1)[mine], places)
        assert np.array_equal(lr[mine], cut(pair.lr, places, 8))
        assert np.array_equal(hr[mine], cut(pair.hr, places * 2, 16))


def test_the_scores_are_those_of_the_hr_tiles(make, catalog):
    store = make(replace(PRUNED, share=None))
    assert store.names == FEATURES
    expected = catalog.extractor("texture").build(features=FEATURES)(
        to_tensor(store.read(np.arange(len(store)))[1])
    )
    np.testing.assert_allclose(store.index.scores, expected.numpy(), rtol=1e-5, atol=1e-7)


def test_a_pruned_tile_is_indexed_but_not_stored(make):
    store, whole = make(), make(replace(PRUNED, share=None), "whole")
    assert store.facts["tiles"] == {"all": len(whole), "kept": len(store)}
    assert store.facts["pruned"] == pytest.approx(0.4, abs=1.5 / len(whole))
    assert np.array_equal(store.index.scores, whole.index.scores)
    for stored, kept in zip(store.read(np.arange(len(store))), whole.read(store.rows), strict=True):
        assert np.array_equal(stored, kept)


def test_the_calibrated_thresholds_given_by_hand_prune_the_same_tiles(make):
    store = make()
    again = make(Request(scale=2, tile=8, thresholds=Thresholds(**store.facts["thresholds"])), "b")
    assert np.array_equal(again.index.kept, store.index.kept)
    assert 0 < len(again) < len(again.index.kept)


def test_bytes_are_the_pixels_of_the_tiles(make):
    store = make()
    stored = sum(array.nbytes for pair in store.shards for array in pair)
    assert store.facts["bytes"]["kept"] == stored
    assert store.facts["bytes"]["all"] * len(store) == stored * len(store.index.kept)


def test_a_photograph_is_taken_once_per_factor(make):
    store = make(replace(PRUNED, tile=8, shrink=(1, 2), share=None))
    assert {(source.path, source.shrink) for source in store.sources} == {
        (path, shrink)
        for path in ("00.png", "01.png", "02.png", "deep/er/00.png", "deep/er/01.png")
        for shrink in (1, 2)
    }


def test_neighbours_share_the_overlap(make):
    store = make(replace(PRUNED, overlap=4, share=None))
    assert sorted(set(store.index.left.tolist())) == [*range(0, 33, 4), 34]


def test_the_number_of_threads_changes_nothing(make, tmp_path, small_shards):
    make(out="one", jobs=1)
    make(out="many", jobs=7)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(make, tmp_path, small_shards):
    make(out="undisturbed")
    expected = contents(tmp_path / "undisturbed")
    for stop in range(1, 11):
        seen = []

        def interrupt(what, done, total, seen=seen, stop=stop):
            seen.append(what)
            if len(seen) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make(out=f"stopped{stop}", report=interrupt)
        with pytest.raises(RecipeError, match="unfinished"):
            Store.open(tmp_path / f"stopped{stop}")
        make(out=f"stopped{stop}")
        assert contents(tmp_path / f"stopped{stop}") == expected


def test_what_is_finished_is_not_done_again(make, monkeypatch, small_shards):
    def interrupt(what, done, total):
        if (what, done) == ("cutting", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(report=interrupt)
    monkeypatch.setattr(Scored, "measure", None)
    monkeypatch.setattr(Writer, "write", None)
    assert len(make()) > 0


def test_a_finished_store_is_opened_as_it_is(make, tmp_path, monkeypatch):
    make()
    before = contents(tmp_path / "out")
    monkeypatch.setattr(Scored, "measure", None)
    seen = []
    make(report=lambda *report: seen.append(report))
    assert (seen, contents(tmp_path / "out")) == ([], before)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0.5}, "prune 0.4, not 0.5"),
        ({"tile": 10}, "tile 8, not 10"),
        ({"options": {"threshold": 0.1}}, "options"),
    ],
)
def test_another_request_does_not_touch_a_store(make, tmp_path, finished, change, message):
    def interrupt(what, done, total):
        if not finished and what == "cutting":
            raise KeyboardInterrupt

    try:
        make(report=interrupt)
    except KeyboardInterrupt:
        assert not finished
    before = contents(tmp_path / "out")
    with pytest.raises(RecipeError, match=message):
        make(replace(PRUNED, **change))
    assert contents(tmp_path / "out") == before


def test_changed_photographs_do_not_mix_with_the_scored_ones(make, photos):
    make()
    os.utime(photos / "00.png", (1, 1))
    with pytest.raises(RecipeError, match="other photographs, or they changed"):
        make()


def test_a_folder_of_other_things_is_left_alone(make, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all of it")
    with pytest.raises(RecipeError, match="not empty and not a store"):
        make()
    assert list(contents(tmp_path / "out")) == ["thesis.txt"]


def test_files_that_cannot_be_used_are_listed_and_skipped(make, photos, tmp_path):
    expected = make(out="clean").read(np.arange(3))[1]
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no image")
    (photos / "cut.png").write_bytes((photos / "00.png").read_bytes()[:500])
    cv2.imwrite(str(photos / "tiny.png"), np.zeros((1, 9, 3), np.uint8))
    cv2.imwrite(str(photos / "narrow.png"), np.zeros((14, 90, 3), np.uint8))
    store = make()
    assert {one["path"]: one["reason"] for one in store.facts["skipped"]} == {
        "cut.png": "truncated or damaged",
        "empty.png": "the file is empty",
        "narrow.png": "90x14 pixels are fewer than a tile, 16x16",
        "text.jpg": "not an image in a known format",
        "tiny.png": "9x1 pixels, reduced by 1, are too few for scale 2",
    }
    assert len(store.sources) == 5
    assert np.array_equal(store.read(np.arange(3))[1], expected)


def test_when_no_tile_is_left_nothing_stays_behind(photos, make, tmp_path):
    with pytest.raises(RecipeError, match=r"nothing to cut a tile from; 00\.png: 84x60 pixels are"):
        make(replace(PRUNED, tile=100))
    with pytest.raises(RecipeError, match="prune every tile"):
        make(Request(scale=2, tile=8, thresholds=Thresholds(1e9, 1e9)))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_is_refused(tmp_path, catalog):
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageError, match="no image in this folder"):
        prepare(PRUNED, tmp_path / "none", tmp_path / "out", catalog, 1, ignore)
    assert not (tmp_path / "out").exists()


def test_two_processes_do_not_spoil_one_store(make, tmp_path, monkeypatch, small_shards):
    make(out="undisturbed")

    def other(what, done, total):
        if (what, done) == ("cutting", 2):
            with monkeypatch.context() as patch:
                patch.setattr(os, "getpid", lambda: -1)
                make()

    with pytest.raises(RecipeError, match="cannot write there"):
        make(report=other)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("owner", "step"), [(Scored, "save"), (Writer, "write"), (Writer, "finish")]
)
def test_a_full_disk_is_one_line_and_the_store_goes_on_later(
    make, tmp_path, monkeypatch, small_shards, owner, step
):
    make(out="undisturbed")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, full)
        with pytest.raises(RecipeError, match=r"out: cannot write there \(No space left on device"):
            make()
    assert not list((tmp_path / "out").rglob("*hr*.part"))
    make()
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_an_unwritable_place_is_one_line(make, photos, tmp_path):
    with pytest.raises(RecipeError, match="cannot write there"):
        make(out=Path("photos") / "00.png" / "out")


@pytest.mark.parametrize("kept", [True, False])
def test_the_preview_shows_tiles_of_one_kind_from_flat_to_textured(make, photos, kept):
    store, whole = make(), make(replace(PRUNED, share=None), "whole")
    tiles = preview(store, photos, kept, 7)
    assert len(tiles) == 7
    pixels = whole.read(np.arange(len(whole)))[1]
    rows = [int(np.flatnonzero((pixels == tile).all((1, 2, 3)))[0]) for tile in tiles]
    assert set(store.index.kept[rows].tolist()) == {kept}
    assert (np.diff(texture(store)[rows]) >= 0).all()
    np.testing.assert_allclose(texture(store), three_scores(store.index.scores, FEATURES)[:, 0])
