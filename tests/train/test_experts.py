import pytest

from mmsr_core.errors import DeviceError, RecipeError
from mmsr_core.train.data import load_photos
from mmsr_core.train.experts import train_expert, train_experts
from mmsr_core.train.material import Material
from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run


class Interrupted(Exception):
    pass


def ignore(what, done, total):
    pass


@pytest.fixture
def prepare(asked, make_photos, tmp_path):
    """prepare(**training): a run of one expert, and what it learns from."""
    images = tmp_path / "images"
    make_photos(images / "photos", count=5)

    def prepare(**training):
        settings = asked["training"] | training
        one = {"experts": asked["experts"][1:2], "routes": {"ALL": "small"}, "training": settings}
        recipe = parse(asked | one, "recipe")
        run = Run.create(tmp_path / "run", recipe, resume=True)
        pairs = load_photos(recipe, images, ignore, ("experts",)).experts
        return run, Material(recipe, images, pairs)

    return prepare


def test_what_one_device_began_two_can_finish(prepare, catalog):
    run, material = prepare(steps=50, save_every=15)

    def interrupt(what, done, total):
        if done >= 40:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_experts(run, catalog, material, interrupt)
    run, material = prepare(steps=50, save_every=15, devices=2)
    told = []
    train_experts(run, catalog, material, lambda *at: told.append(at))
    (expert,) = run.recipe.experts
    assert told[0] == ("small: goes on from step 30", 0, 0)
    assert told[-1][1:] == (50, 50)
    assert run.record(expert)["devices"] == 2
    run.trained(expert, catalog)


def test_the_record_says_where_and_when(prepare, catalog):
    run, material = prepare()
    (expert,) = run.recipe.experts
    train_expert(run, expert, catalog, material, ignore, node="node-7")
    record = run.record(expert)
    assert record["node"] == "node-7"
    assert record["ended"] >= record["started"] > 1.7e9


def test_an_expert_that_another_process_took_over_keeps_nothing(prepare, catalog):
    run, material = prepare(steps=40, save_every=40)
    (expert,) = run.recipe.experts

    def lose(what, done, total):
        if done == 20:
            train_expert(run, expert, catalog, material, ignore, node="node-8")

    with pytest.raises(RecipeError, match=r"experts/small: process \d+ on node-8 trains this"):
        train_expert(run, expert, catalog, material, lose)
    assert run.record(expert)["node"] == "node-8"


def test_more_gpus_than_there_are_is_one_line_before_any_work(prepare, catalog, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    run, material = prepare(devices=2)
    line = "^small: asks for 2 devices, and GPUs here number 1; lower training.devices$"
    with pytest.raises(DeviceError, match=line):
        train_experts(run, catalog, material, ignore)
