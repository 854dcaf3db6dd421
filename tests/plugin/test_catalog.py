import pickle
import sys
import textwrap
from importlib.metadata import EntryPoint

import pytest

from mmsr_core.errors import PluginError
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice

GOOD = """
    from mmsr_core.plugin.components import Backbone, Fuser
    from mmsr_core.plugin.hookspecs import hookimpl

    @hookimpl
    def register_fusers():
        return [Fuser(name="mean", summary="the mean", build=dict)]

    @hookimpl
    def register_backbones():
        yield Backbone(name="thin", summary="", build=dict, radius=lambda depth: depth,
                       depths=range(1, 3), scales=(2,))
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """load(**sources): the catalog of plugin modules with that source, by module name."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
            monkeypatch.delitem(sys.modules, name, raising=False)
        return Catalog.load(EntryPoint(name, name, "mmsr") for name in sources)

    return load


def test_a_component_is_found_by_kind_and_name(load):
    catalog = load(plug_good=GOOD)
    assert catalog.backbone("thin").depths == range(1, 3)
    assert catalog.fuser("mean").summary == "the mean"
    assert catalog.broken == ()


def test_another_process_loads_the_plugins_for_itself(load):
    # GOOD's radius is a lambda, which can't be sent.
    sent = pickle.dumps(load(plug_sent=GOOD))
    assert pickle.loads(sent).backbone("thin").depths == range(1, 3)
    load(plug_sent="raise ImportError('not on this node')")
    assert pickle.loads(sent).broken[0].reason == "ImportError: not on this node"


def test_a_plugin_that_fails_to_import_is_listed_and_the_others_work(load):
    catalog = load(plug_bad="import no_such_package", plug_good=GOOD)
    assert catalog.fuser("mean")
    (broken,) = catalog.broken
    assert broken.entry_point == "plug_bad"
    assert broken.reason == "ModuleNotFoundError: No module named 'no_such_package'"


def test_a_module_that_is_not_there_is_a_broken_plugin():
    (broken,) = Catalog.load([EntryPoint("gone", "plug_gone", "mmsr")]).broken
    assert "plug_gone" in broken.reason


def test_a_plugin_that_exits_on_import_is_only_broken(load):
    catalog = load(plug_exit="raise SystemExit('bye')", plug_good=GOOD)
    assert [broken.entry_point for broken in catalog.broken] == ["plug_exit"]
    assert catalog.fuser("mean")


def test_a_hook_that_fails_while_it_yields_gives_nothing(load):
    catalog = load(plug_half=GOOD + "        raise OSError('the disk is gone')\n")
    assert catalog.entries == ()
    assert catalog.broken[0].reason == "OSError: the disk is gone"


def test_asking_for_what_a_broken_plugin_might_have_had_gives_its_reason(load):
    catalog = load(plug_bad="import no_such_package", plug_good=GOOD)
    with pytest.raises(PluginError, match=r"plug_bad is broken.*no_such_package"):
        catalog.backbone("thick")


def test_a_misspelt_hook_is_an_error(load):
    catalog = load(plug_typo=GOOD.replace("register_fusers", "register_fuser"))
    assert "register_fuser" in catalog.broken[0].reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (GOOD.replace("[Fuser(", "[dict("), "not a fuser"),
        (GOOD.replace("return [", "return dict, ["), "not a fuser"),
        (GOOD.replace("[Fuser(name", "Fuser(name").replace("=dict)]", "=dict)"), "not iterable"),
        ("", "registers nothing"),
    ],
)
def test_a_hook_that_returns_something_else_is_told_what(load, source, reason):
    catalog = load(plug_odd=source)
    assert catalog.entries == ()
    assert reason in catalog.broken[0].reason


def test_two_owners_of_one_name_are_both_named(load):
    catalog = load(plug_one=GOOD, plug_two=GOOD)
    with pytest.raises(PluginError, match="plug_one and by plug_two; uninstall one"):
        catalog.fuser("mean")
    assert len(catalog.conflicts()) == 2


def test_a_name_claimed_twice_disturbs_nobody_else(load):
    catalog = load(plug_one=GOOD, plug_two=GOOD.replace('"thin"', '"thick"'))
    assert catalog.backbone("thin")
    assert catalog.backbone("thick")
    assert len(catalog.conflicts()) == 1


def test_an_unknown_name_gets_the_nearest_one(load):
    message = r'no backbone named "thim"; installed: thin \(did you mean "thin"\?\)'
    with pytest.raises(PluginError, match=message):
        load(plug_good=GOOD).backbone("thim")


def test_a_name_of_another_kind_is_unknown(load):
    with pytest.raises(PluginError, match="installed: thin"):
        load(plug_good=GOOD).backbone("mean")


def test_an_owner_is_the_distribution_that_brought_it(tmp_path, monkeypatch, load):
    info = tmp_path / "plug_dist-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-dist\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[mmsr]\nany = plug_good\n")
    load(plug_good=GOOD)
    owners = {entry.owner for entry in Catalog.load().entries if entry.component.name == "thin"}
    assert owners == {"plug-dist 2.1"}


def build(*, depth, scale, channels=16, slope):
    raise AssertionError("the options are checked before anything is built")


GIVEN = {"depth": 1, "scale": 2}


def test_options_that_build_takes_pass():
    check_options(Choice(name="thin", options={"channels": 8, "slope": 0.1}), build, GIVEN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chanels": 8}, r'no option of thin named "chanels".*did you mean "channels"'),
        ({"depth": 3, "slope": 0.1}, r'no option of thin named "depth"'),
        ({}, "thin needs the option slope"),
    ],
)
def test_options_that_build_does_not_take_are_refused(options, message):
    with pytest.raises(PluginError, match=message):
        check_options(Choice(name="thin", options=options), build, GIVEN)


def test_a_build_that_takes_anything_is_given_anything():
    check_options(Choice(name="thin", options={"any": 1}), lambda **options: options)
