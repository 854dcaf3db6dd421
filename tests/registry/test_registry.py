import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import Bundle
from mmsr_registry import Model, Registry


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "home", tmp_path / "shelf")


@pytest.fixture
def store(make_bundle):
    """store(root, name, version): a bundle where a registry looks for it."""

    def make(root, name="tiny-x2", version="1.0.0"):
        return make_bundle(root / name / version, name=name, version=version).directory

    return make


def test_an_empty_registry_lists_nothing(registry):
    assert registry.list() == ()


def test_a_name_means_its_newest_version_by_number(registry, store):
    store(registry.home, version="9.0.0")
    newest = store(registry.home, version="10.0.0")
    assert registry.find("tiny-x2") == newest


def test_a_newer_version_on_the_shelf_wins_over_an_older_one_at_home(registry, store):
    store(registry.home, version="1.0.0")
    newest = store(registry.shelf, version="1.0.1")
    assert registry.find("tiny-x2") == newest


def test_of_equal_versions_the_one_at_home_wins(registry, store):
    home = store(registry.home)
    store(registry.shelf)
    assert registry.find("tiny-x2") == home


def test_a_version_can_be_asked_for(registry, store):
    older = store(registry.home, version="1.0.0")
    store(registry.home, version="2.0.0")
    assert registry.find("tiny-x2@1.0.0") == older


def test_an_unknown_name_suggests_the_nearest(registry, store):
    store(registry.shelf, name="compact-x4")
    with pytest.raises(BundleError, match=r'no model named "compct-x4".*mean "compact-x4"\?'):
        registry.find("compct-x4")


def test_an_unknown_version_names_those_that_are_there(registry, store):
    store(registry.home, version="1.0.0")
    with pytest.raises(BundleError, match=r'no version of tiny-x2 named "2.0.0".*: 1\.0\.0'):
        registry.find("tiny-x2@2.0.0")


def test_an_empty_name_is_refused(registry):
    with pytest.raises(BundleError, match="no model named"):
        registry.find("")


def test_a_text_with_a_separator_is_a_path(registry, make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    assert registry.find(str(bundle.directory)) == bundle.directory


def test_a_path_without_a_bundle_is_refused(registry, tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        registry.find(tmp_path / "nothing")


def test_a_bundle_right_here_wins_over_a_model_of_its_name(
    registry, store, make_bundle, tmp_path, monkeypatch
):
    store(registry.home)
    make_bundle(tmp_path / "tiny-x2")
    monkeypatch.chdir(tmp_path)
    assert registry.find("tiny-x2").resolve() == tmp_path / "tiny-x2"


def test_a_folder_right_here_that_is_no_bundle_does_not_hide_a_model(
    registry, store, tmp_path, monkeypatch
):
    stored = store(registry.home)
    (tmp_path / "tiny-x2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert registry.find("tiny-x2") == stored


def test_a_version_that_is_not_three_numbers_is_not_listed(registry, store):
    stored = store(registry.home)
    stored.rename(stored.with_name("latest"))
    assert registry.list() == ()


def test_an_added_bundle_is_found_and_sound(registry, make_bundle, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    registry.add(made.directory)
    assert Bundle.open(registry.find("tiny-x2")).manifest == made.manifest


def test_adding_copies_only_what_the_manifest_lists(registry, make_bundle, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    (made.directory / "stowaway.bin").write_bytes(b"?")
    added = registry.add(made.directory)
    assert not (added.directory / "stowaway.bin").exists()


@pytest.mark.parametrize("root", ["home", "shelf"])
def test_adding_a_version_that_exists_is_refused(registry, store, make_bundle, tmp_path, root):
    stored = store(tmp_path / root)
    made = make_bundle(tmp_path / "bundle", scale=4)
    with pytest.raises(BundleError, match=r"tiny-x2@1\.0\.0 exists already"):
        registry.add(made.directory)
    assert Bundle.open(stored).manifest.scale == 2


def test_a_damaged_bundle_is_not_added(registry, make_bundle, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    (made.directory / "router.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match="SHA-256"):
        registry.add(made.directory)
    assert not registry.home.exists()


def test_a_removed_model_is_gone_without_a_trace(registry, store):
    store(registry.home)
    registry.remove("tiny-x2")
    assert list(registry.home.iterdir()) == []


def test_removing_one_version_keeps_the_others(registry, store):
    kept = store(registry.home, version="1.0.0")
    store(registry.home, version="2.0.0")
    registry.remove("tiny-x2@2.0.0")
    assert registry.find("tiny-x2") == kept


def test_removing_asks_which_of_several_versions(registry, store):
    store(registry.home, version="1.0.0")
    store(registry.home, version="2.0.0")
    with pytest.raises(BundleError, match=r"name one of tiny-x2@1\.0\.0, tiny-x2@2\.0\.0"):
        registry.remove("tiny-x2")


def test_what_ships_with_mmsr_is_not_removed(registry, store):
    shipped = store(registry.shelf)
    with pytest.raises(BundleError, match="ships with mmsr"):
        registry.remove("tiny-x2")
    assert Bundle.open(shipped)


def test_a_path_is_not_removed(registry, make_bundle, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError, match="is a path"):
        registry.remove(str(made.directory))
    assert Bundle.open(made.directory)


def test_a_linked_model_is_removed_and_its_target_kept(registry, make_bundle, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    (registry.home / "tiny-x2").mkdir(parents=True)
    (registry.home / "tiny-x2/1.0.0").symlink_to(made.directory)
    registry.remove("tiny-x2")
    assert registry.list() == ()
    assert Bundle.open(made.directory)


def test_a_sound_model_verifies(registry, store):
    store(registry.home)
    assert registry.verify("tiny-x2").manifest.name == "tiny-x2"


def test_a_damaged_model_does_not_verify(registry, store):
    (store(registry.home) / "router.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match="SHA-256"):
        registry.verify("tiny-x2")


def test_a_model_stored_under_another_name_does_not_verify(registry, store):
    stored = store(registry.home)
    stored.parent.rename(registry.home / "other")
    with pytest.raises(BundleError, match=r"stored as other@1\.0\.0"):
        registry.verify("other")


def test_the_environment_variable_moves_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSR_HOME", str(tmp_path / "elsewhere"))
    assert Registry().home == tmp_path / "elsewhere"


def test_without_the_environment_variable_home_is_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MMSR_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Registry().home == tmp_path / ".local/share/mmsr"


@given(a=st.tuples(*[st.integers(0, 99)] * 3), b=st.tuples(*[st.integers(0, 99)] * 3))
def test_versions_sort_as_numbers(a, b):
    older, newer = (
        Model("m", ".".join(map(str, version)), None, shipped=False) for version in sorted((a, b))
    )
    assert older.newness <= newer.newness
