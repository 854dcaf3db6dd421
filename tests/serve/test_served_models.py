"""Which models a server has, and what it expects of its machine."""

from collections import deque

import pytest
from graphs import write_upscaler

from mmsr_core.errors import BundleError
from mmsr_core.serve.models import LATEST, Models, Pace
from mmsr_core.serve.problem import Problem


def test_by_default_all_stored_upscalers_are_there_each_in_its_newest_version(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MMSR_HOME", str(tmp_path))
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        write_upscaler(tmp_path / "tiny-x2" / version, version=version)
    models = Models((), "cpu")
    assert models.default == "compact-x4"
    assert models.manifests["tiny-x2"].version == "1.10.0"
    assert {"compact-x2", "compact-x4"} <= set(models.manifests)


def test_the_first_that_is_named_is_the_default_and_no_other_is_there(upscaler):
    models = Models([str(upscaler), "compact-x2"], "cpu")
    assert (models.default, list(models.manifests)) == ("tiny-x2", ["tiny-x2", "compact-x2"])
    with pytest.raises(Problem, match="compact-x4"):
        models.open("compact-x4")


def test_a_path_in_a_request_opens_nothing(upscaler, models):
    with pytest.raises(Problem, match="no model named"):
        models.open(str(upscaler))


def test_a_model_that_is_not_there_is_told_at_the_start():
    with pytest.raises(BundleError, match="compact-x4"):
        Models(["compact-x5"], "cpu")


def test_a_model_is_opened_once(upscaler):
    models = Models([str(upscaler)], "cpu")
    assert models.open(None) is models.open("tiny-x2")


def test_what_is_expected_follows_the_latest_pictures():
    pace = Pace(deque([1.0], LATEST))
    for _ in range(LATEST):
        pace.learn(".png", 100.0, 400.0, {"decode": 1.0, "experts": 20.0, "encode": 3.0})
    assert pace.seconds(".png", 10.0, 100.0) == pytest.approx(10 * 0.2 + 100 * 0.01)
