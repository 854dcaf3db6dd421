from collections import Counter
from itertools import combinations

import cv2
import numpy as np
import pytest

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.runtime import image
from mmsr_core.train.data import find_photos, load_photos
from mmsr_core.train.recipe import parse


def ignore(what, done, total):
    pass


def test_no_photograph_is_in_two_splits_whatever_its_shrink_factors(asked, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    make_photos(tmp_path / "more", 5)
    asked["data"] = [{"folder": "photos", "shrink": [1, 2, 3]}, {"folder": "more"}]
    splits = find_photos(parse(asked, "r"), tmp_path)
    files = {name: {photo.path for photo in found} for name, found in splits.items()}
    assert all(not files[a] & files[b] for a, b in combinations(files, 2))
    assert sum(map(len, files.values())) == 15
    assert {name: len(found) for name, found in splits.items()} == {
        "experts": 3 * 5 + 2,
        "router": 3 * 3 + 2,
        "test": 3 * 2 + 1,
    }


def test_a_number_stands_for_one_file(asked, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    asked["data"][0]["shrink"] = [1, 2]
    found = [photo for part in find_photos(parse(asked, "r"), tmp_path).values() for photo in part]
    assert set(Counter(photo.number for photo in found).values()) == {2}
    assert len({(photo.number, photo.path) for photo in found}) == 10


def test_the_seed_alone_decides_the_splits(asked, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    first = find_photos(parse(asked, "r"), tmp_path)
    assert find_photos(parse(asked, "r"), tmp_path) == first
    assert find_photos(parse(asked | {"seed": 4}, "r"), tmp_path) != first


def test_a_file_in_two_data_folders_is_refused(asked, make_photos, tmp_path):
    make_photos(tmp_path / "photos" / "inner", 10)
    asked["data"].append({"folder": "photos/inner"})
    with pytest.raises(
        RecipeError, match=r"data folder photos/inner: .*in another data folder too"
    ):
        find_photos(parse(asked, "r"), tmp_path)


def test_too_few_photographs_name_the_empty_split(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 1)
    with pytest.raises(RecipeError, match="split is empty: 1 photographs are too few"):
        find_photos(recipe, tmp_path)


def test_an_empty_folder_is_named_as_the_recipe_names_it(recipe, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(RecipeError, match=r"^data folder photos: "):
        find_photos(recipe, tmp_path)


def test_lr_is_the_antialiased_bicubic_of_hr(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10, 61, 83)
    for pair in load_photos(recipe, tmp_path, ignore).experts:
        assert pair.hr.shape == (60, 82, 3)
        expected = image.quantize(image.resize(pair.hr * np.float32(1 / 255), 30, 41))
        difference = np.abs(pair.lr.astype(int) - expected)
        assert difference.max() <= 1  # where a value lies on ½, its last bit decides
        assert (difference > 0).mean() < 0.001


def test_a_shrunk_photograph_keeps_its_number(asked, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    asked["data"][0]["shrink"] = [1, 3]
    pairs = load_photos(parse(asked, "r"), tmp_path, ignore).router
    sizes = {pair.photo: {p.hr.shape for p in pairs if p.photo == pair.photo} for pair in pairs}
    assert list(sizes.values()) == [{(60, 84, 3), (20, 28, 3)}] * 3


def test_loading_reports_every_photograph(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    seen = []
    load_photos(recipe, tmp_path, lambda *report: seen.append(report))
    assert seen == [("photographs", done, 10) for done in range(1, 11)]


def test_a_damaged_photograph_is_named(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    (tmp_path / "photos" / "03.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"03\.png"):
        load_photos(recipe, tmp_path, ignore)


def test_a_photograph_smaller_than_the_scale_is_refused_by_name(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    cv2.imwrite(str(tmp_path / "photos" / "03.png"), np.zeros((1, 9, 3), np.uint8))
    with pytest.raises(RecipeError, match=r"03\.png: 9x1 pixels, .*too few for scale 2"):
        load_photos(recipe, tmp_path, ignore)


def test_only_the_splits_asked_for_are_read(recipe, make_photos, tmp_path):
    make_photos(tmp_path / "photos", 10)
    photos = load_photos(recipe, tmp_path, ignore, splits=("router", "test"))
    assert (len(photos.experts), len(photos.router), len(photos.test)) == (0, 3, 2)
