import json

import pytest
from click.testing import CliRunner

from mmsr_core.cli import main
from mmsr_core.plugin.catalog import Broken, Catalog, Entry
from mmsr_core.plugin.components import Fuser

ONE = Entry("fuser", Fuser(name="mean", summary="the mean", build=dict), "mmsr 0.1.0")
TWO = Entry("fuser", Fuser(name="mean", summary="another mean", build=dict), "mean-plus 2.0")
BROKEN = Broken("odd", "mmsr-odd 1.0", "ImportError: no module named odd")


@pytest.fixture
def run(monkeypatch):
    """run(catalog, *args): `mmsr plugins ARGS` where that catalog is installed."""

    def invoke(catalog, *args):
        monkeypatch.setattr(Catalog, "load", lambda: catalog)
        return CliRunner().invoke(main, ["plugins", *args])

    return invoke


def test_a_component_is_listed_with_its_owner(run):
    result = run(Catalog((ONE,)))
    assert result.exit_code == 0
    assert result.output.splitlines()[1].split("  ") == ["fuser", "mean", "mmsr 0.1.0", "the mean"]


def test_a_broken_plugin_is_listed_with_its_reason(run):
    result = run(Catalog((ONE,), (BROKEN,)))
    assert result.exit_code == 0
    assert "mean" in result.output
    assert BROKEN.reason in result.output


def test_a_name_claimed_twice_names_both_owners_and_exits_1(run):
    result = run(Catalog((ONE, TWO)))
    assert result.exit_code == 1
    assert "mmsr 0.1.0" in result.stderr
    assert "mean-plus 2.0" in result.stderr


def test_json_says_the_same(run):
    found = json.loads(run(Catalog((ONE,), (BROKEN,)), "--json").output)
    assert found["components"][0]["owner"] == "mmsr 0.1.0"
    assert found["broken"][0]["reason"] == BROKEN.reason
    assert found["conflicts"] == []


def test_without_any_plugin_it_says_what_to_install(run):
    assert "pip install" in run(Catalog(())).output
