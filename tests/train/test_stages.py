import json

import numpy as np
import pytest

from mmsr_core.errors import MmsrError, RecipeError
from mmsr_core.plugin.catalog import Catalog, Entry
from mmsr_core.plugin.components import Classifier, RouterData
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import make_draft, out_of_fold, train

CLASSIFIERS = {
    "forest": {"classifier": {"name": "forest", "options": {"trees": 3}}},
    "forest-gain": {"classifier": {"name": "forest-gain", "options": {"trees": 3}}},
    "tvat-threshold": {
        "extractor": {"name": "texture", "options": {"features": ["tvat"]}},
        "classifier": {"name": "tvat-threshold"},
    },
}


def ignore(what, done, total):
    pass


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def images(photos, make_photos):
    if not (photos / "photos").exists():
        make_photos(photos / "photos")
    return photos


class Recall:
    """A stage that says of a cell the photographs it has learnt from."""

    def __init__(self, photos):
        self.photos = photos

    def predict(self, features):
        return np.tile(np.isin(np.arange(10), self.photos).astype(float), (len(features), 1))


def recalling():
    """A catalog whose classifier remembers the photographs that it was fitted on."""

    def fit(data, *, seed):
        return (Recall(data.photos[data.images]),)

    classifier = Classifier(name="recall", summary="", output="errors", fit=fit)
    return Catalog((Entry("classifier", classifier, "a test"),))


def router_data(photos, cells=3):
    """Data of images that were made from these photographs, with a few cells each."""
    n = len(photos) * cells
    return RouterData(
        features=np.zeros((n, 1), np.float32),
        names=("mean",),
        errors=np.ones((n, 3)),
        labels=np.zeros(n, np.int64),
        costs=np.ones(3),
        images=np.repeat(np.arange(len(photos)), cells),
        shapes=np.full((len(photos), 2), 16),
        photos=np.array(photos),
        classes=("SIMPLE", "MODERATE", "COMPLEX"),
    )


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_whole_recipe_trains_scores_and_drafts(asked, images, catalog, tmp_path, classifier):
    asked["router"] = CLASSIFIERS[classifier]
    recipe = parse(asked, "recipe")
    run = train(recipe, images, tmp_path / "run", catalog, ignore)

    scores = json.loads((run.directory / "scores.json").read_text())
    assert scores["photographs"] == 2
    assert scores["cells"] == 2 * 4 * 2 * 3  # each photograph is cut four times
    assert list(scores["psnr_y"]) == ["SIMPLE", "MODERATE", "COMPLEX"]
    assert all(10 < psnr < 60 for psnr in scores["psnr_y"].values())
    for shares in (scores["labels"], scores["predicted"]):
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert 0 <= scores["agreement"] <= 1

    draft = make_draft(Run.open(run.directory), catalog)
    cells = 3 * 4 * 2 * 3
    assert draft.routes["SIMPLE"] == (("floor", "small"), "edge")
    assert [expert.radius for expert in draft.experts] == [2, 4, 6]
    assert [fuser.name for fuser in draft.fusers] == ["edge"]
    assert draft.router.calibration.errors.shape == (cells, 3)
    assert draft.router.predictions.shape == (cells, 3)
    assert draft.router.output == ("errors" if classifier == "forest-gain" else "probs")
    assert draft.made["scores"] == scores


def test_a_killed_run_is_taken_up_where_it_was(recipe, images, catalog, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def kill(what, done, total):
        if what.startswith("large"):
            raise Killed

    with pytest.raises(Killed):
        train(recipe, images, tmp_path / "run", catalog, kill)
    small = tmp_path / "run" / "experts" / "small" / "weights.pt"
    before = small.stat().st_mtime_ns
    with pytest.raises(RecipeError, match=r"not trained yet; finish the run with .*--resume"):
        make_draft(Run.open(tmp_path / "run"), catalog)
    run = train(recipe, images, tmp_path / "run", catalog, ignore, resume=True)
    assert small.stat().st_mtime_ns == before
    assert run.scores()["photographs"] == 2
    make_draft(run, catalog)


@pytest.mark.parametrize(
    "change",
    [
        {"data": [{"folder": "nowhere"}]},
        {"experts": [{"name": "small", "backbone": "compact", "options": {"channels": -1}}]},
        {"router": {"extractor": {"name": "texture", "options": {"features": ["taste"]}}}},
    ],
)
def test_a_askedthat_cannot_work_makes_no_run(asked, images, catalog, tmp_path, change):
    recipe = parse(asked | {"routes": {"ALL": "small"}} | change, "r")
    with pytest.raises(MmsrError, match=r"nowhere|expert small|router\.extractor|taste"):
        train(recipe, images, tmp_path / "run", catalog, ignore)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("photos", [[0, 4, 8], [1, 2], [3, 3, 5, 7, 7, 9]])
def test_out_of_fold_predictions_never_come_from_the_photograph_itself(asked, photos):
    asked["router"]["classifier"] = {"name": "recall"}
    data = router_data(photos)
    said = out_of_fold(parse(asked, "r"), recalling(), data)
    own = data.photos[data.images]
    assert not said[np.arange(len(said)), own].any()
    assert said.any(axis=1).all()


def test_a_single_photograph_is_predicted_from_itself(asked):
    asked["router"]["classifier"] = {"name": "recall"}
    said = out_of_fold(parse(asked, "r"), recalling(), router_data([6]))
    assert said[:, 6].all()
