"""A finished run under another router, other tiles or other routes: only the router is fitted."""

import shutil

import pytest

from mmsr_core.train.recipe import parse
from mmsr_core.train.run import Run
from mmsr_core.train.stages import make_draft, train

CHANGES = {
    "router": {"router": {"classifier": {"name": "forest-gain", "options": {"trees": 2}}}},
    "tiles": {"tiles": {"cell": 24, "halo": 6}},
    "routes": {"routes": {"SIMPLE": "floor", "COMPLEX": "large"}},
}


def ignore(what, done, total):
    pass


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("refit")


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_recipe_touches_no_expert(asked, catalog, make_photos, places, tmp_path, change):
    if not (places / "photos").exists():
        make_photos(places / "photos", count=6, height=40, width=56)
        train(parse(asked, "recipe"), places, places / "run", catalog, ignore)
    shutil.copytree(places / "run", tmp_path / "run")
    weights = sorted((tmp_path / "run" / "experts").glob("*/weights.pt"))
    before = [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in weights]
    router = Run.open(tmp_path / "run").router_data()

    said = []
    recipe = parse(asked | CHANGES[change], "recipe")
    train(recipe, places, tmp_path / "run", catalog, lambda *at: said.append(at[0]), resume=True)
    assert len(before) == 2
    assert [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in weights] == before
    assert not [what for what in said if what.startswith(("small", "large"))]

    run = Run.open(tmp_path / "run")
    assert run.recipe == recipe
    assert (run.router_data().errors.shape == router.errors.shape) == (change == "router")
    make_draft(run, catalog)
