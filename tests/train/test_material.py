from pathlib import Path

import numpy as np
import pytest

from mmsr_core.errors import PluginError, RecipeError
from mmsr_core.train.data import find_photos, load_photos
from mmsr_core.train.material import Material, band_of, stored_material
from mmsr_core.train.prepare.passes import prepare
from mmsr_core.train.prepare.request import Request
from mmsr_core.train.recipe import parse
from mmsr_core.train.sources import Crops


def ignore(what, done, total):
    pass


@pytest.fixture(scope="module")
def images(tmp_path_factory, catalog):
    """Ten photographs, and stores of their tiles of 8 LR pixels, ×2: all, and reduced by 2."""
    import cv2

    root = tmp_path_factory.mktemp("images")
    (root / "photos").mkdir()
    (root / "others").mkdir()
    for number in range(10):
        rng = np.random.default_rng(number)
        pixels = rng.normal(128, 4 * (1 + np.arange(84)), (60, 84))[..., None].repeat(3, 2)
        for folder in ("photos", "others"):
            cv2.imwrite(str(root / folder / f"{folder[0]}{number}.png"), pixels.clip(0, 255))
    for folder, store, shrink in [
        ("photos", "tiles", (1,)),
        ("photos", "halved", (2,)),
        ("others", "others.tiles", (1,)),
    ]:
        request = Request(scale=2, tile=8, shrink=shrink)
        prepare(request, root / folder, root / store, catalog, 1, ignore)
    return root


@pytest.fixture
def asked(asked):
    asked["data"] = [{"folder": "photos", "store": "tiles"}]
    asked["training"]["patch"] = 8
    return asked


def of(material, name):
    experts = {expert.name: expert for expert in material.recipe.experts}
    return material.of(experts[name])


def test_without_a_store_experts_learn_from_photographs(asked, images, catalog):
    del asked["data"][0]["store"]
    recipe = parse(asked, "r")
    photos = load_photos(recipe, images, ignore)
    assert isinstance(of(Material(recipe, images, photos.experts), "small"), Crops)


def test_only_tiles_of_the_experts_photographs_are_learnt_from(asked, images, catalog):
    recipe = parse(asked, "r")
    stored = of(stored_material(recipe, images, catalog), "small")
    mine = {photo.path.name for photo in find_photos(recipe, images)["experts"]}
    store, rows = stored.stores[0], stored.rows[0]
    assert {store.sources[number].path for number in store.photo_of[rows]} == mine
    assert len(mine) == 5
    assert stored.count == 5 * len(store) // 10


def test_bands_share_all_tiles_out_among_the_classes(asked, images, catalog):
    asked["bands"] = {"quantiles": [0.5, 0.75]}
    asked["routes"]["SIMPLE"] = "floor"
    asked["experts"].append({"name": "plain", "backbone": "compact", "depth": 1})
    material = stored_material(parse(asked, "r"), images, catalog)
    total = of(material, "plain").count
    assert of(material, "small").count == pytest.approx(total / 4, abs=1)
    assert of(material, "large").count == pytest.approx(total / 4, abs=1)


def test_the_classes_are_bands_of_the_score_of_the_lr_tile(asked, images, catalog):
    asked["bands"] = {"feature": "contrast", "quantiles": [0.5, 0.75]}
    material = stored_material(parse(asked, "r"), images, catalog)
    small, large = of(material, "small"), of(material, "large")  # SIMPLE and MODERATE; COMPLEX
    spread = [
        tiles.stores[0].read(tiles.rows[0])[0].std(axis=(1, 2, 3)) for tiles in (small, large)
    ]
    assert spread[0].max() <= spread[1].min() * 1.001


def test_an_expert_of_two_classes_learns_from_both(asked, images, catalog):
    asked["bands"] = {"quantiles": [0.5, 0.75]}
    material = stored_material(parse(asked, "r"), images, catalog)
    assert set(np.unique(np.concatenate(material.banded.bands))) == {0, 1, 2}
    assert of(material, "small").count > 2 * of(material, "large").count


def test_a_class_without_tiles_names_the_expert_and_the_cuts(asked, images, catalog):
    asked["bands"] = {"thresholds": [1e6, 2e6]}
    material = stored_material(parse(asked, "r"), images, catalog)
    with pytest.raises(
        RecipeError,
        match=r"^large: no tile is COMPLEX; the bands of tvat are cut at 1e\+06, 2e\+06",
    ):
        of(material, "large")


def test_a_patch_larger_than_the_tiles_is_refused(asked, images, catalog):
    asked["training"]["patch"] = 9
    material = stored_material(parse(asked, "r"), images, catalog)
    with pytest.raises(RecipeError, match="small: a patch of 9 LR pixels is larger than the tiles"):
        of(material, "small")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"store": "others.tiles"}, "store others.tiles: holds no tile of the photographs"),
        ({"store": "nowhere"}, "nowhere: not a store"),
        ({"store": "halved"}, "has no photographs reduced by 1; .* --shrink 1"),
    ],
)
def test_a_store_that_does_not_fit_its_folder_is_refused(asked, images, catalog, change, problem):
    asked["data"][0] |= change
    with pytest.raises(RecipeError, match=problem):
        stored_material(parse(asked, "r"), images, catalog)


def test_a_store_of_another_scale_is_refused(asked, images, catalog):
    asked["scale"] = 3
    with pytest.raises(RecipeError, match="was made for scale 2; this recipe asks 3"):
        stored_material(parse(asked, "r"), images, catalog)


def test_bands_of_an_unknown_feature_are_refused(asked, images, catalog):
    asked["bands"] = {"feature": "taste", "quantiles": [0.5, 0.75]}
    with pytest.raises(PluginError, match="taste"):
        stored_material(parse(asked, "r"), images, catalog)


def test_a_score_equal_to_a_threshold_belongs_to_the_band_above_it():
    assert band_of(np.array([0.5, 1.0, 1.5, 2.0]), [1.0, 2.0]).tolist() == [0, 1, 1, 2]


def test_paths_of_photographs_may_be_nested(asked, images, catalog, tmp_path):
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    for path in sorted((images / "photos").iterdir()):
        (folder / path.name).write_bytes(Path(path).read_bytes())
    prepare(
        Request(scale=2, tile=8, shrink=(1,)),
        tmp_path / "photos",
        tmp_path / "tiles",
        catalog,
        1,
        ignore,
    )
    assert of(stored_material(parse(asked, "r"), tmp_path, catalog), "small").count > 0
