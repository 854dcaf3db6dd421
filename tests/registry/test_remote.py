import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from webserver import Site, serving

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import MANIFEST, Bundle
from mmsr_registry import Registry
from mmsr_registry.download import Downloads
from mmsr_registry.index import read_index
from mmsr_registry.remote import Remote, check_pin


@pytest.fixture
def bundle(tmp_path, make_bundle):
    return make_bundle(tmp_path / "bundle").directory


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "home", tmp_path / "shelf")


@pytest.fixture
def downloads(registry):
    return Downloads(registry.home / ".downloads", waits=())


def files_of(bundle, under):
    return {
        under + path.relative_to(bundle).as_posix(): path.read_bytes()
        for path in bundle.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def site(bundle):
    """A server with the bundle as a zip, as plain files, and as a repository of a hub."""
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files_of(bundle, "").items():
            archive.writestr(name, data)
    files = {
        "/b.zip": memory.getvalue(),
        **files_of(bundle, "/plain/"),
        **files_of(bundle, "/someone/models/resolve/v1/x2/"),
        **files_of(bundle, "/someone/tiny/resolve/main/"),
    }
    entry = {
        "name": "tiny-x2",
        "version": "1.0.0",
        "url": "b.zip",
        "sha256": hashlib.sha256(files["/b.zip"]).hexdigest(),
        "size": len(files["/b.zip"]),
        "licence": "CC0-1.0",
        "summary": "A small one",
        "stars": 5,
    }
    files["/index.json"] = json.dumps({"format": 1, "models": [entry]}).encode()
    with serving(Site(files=files)) as site:
        yield site


@pytest.fixture
def add(site, registry, downloads):
    """add(source, …): download and store; {} in the texts is the server's address."""

    def add(source, index=None, sha256=None):
        remote = Remote(downloads, hub=site.url)
        place = index and index.format(site.url)
        with remote.bundle(source.format(site.url), place, sha256) as directory:
            return registry.add(directory)

    return add


@pytest.mark.parametrize(
    "source",
    [
        "{}/b.zip",
        "{}/plain/manifest.json",
        "{}/plain/",
        "hf:someone/models@v1/x2",
        "hf:someone/tiny",
    ],
)
def test_a_bundle_is_added_from_wherever_it_lies(add, registry, source):
    assert Bundle.open(add(source).directory).manifest.name == "tiny-x2"
    assert [path.name for path in registry.home.iterdir()] == ["tiny-x2"]


def test_a_bundle_is_added_by_its_name_in_an_index(add):
    assert str(add("tiny-x2", index="{}/index.json")) == "tiny-x2@1.0.0"


def test_a_hash_pins_the_zip(add, site):
    digest = hashlib.sha256(site.files["/b.zip"]).hexdigest()
    assert add("{}/b.zip", sha256=digest)


def test_a_hash_pins_the_manifest(add, site):
    digest = hashlib.sha256(site.files["/plain/manifest.json"]).hexdigest()
    assert add("{}/plain/", sha256=digest)


@pytest.mark.parametrize("source", ["{}/b.zip", "{}/plain/", "hf:someone/tiny"])
def test_another_hash_is_refused_and_nothing_stays(add, registry, source):
    with pytest.raises(BundleError, match="its SHA-256 is"):
        add(source, sha256="0" * 64)
    assert not registry.home.exists()


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(add, site):
    site.files["/plain/router.onnx"] = b"changed"
    with pytest.raises(BundleError, match=r"/plain/router\.onnx: its SHA-256 is"):
        add("{}/plain/")


def test_graphs_that_came_before_the_connection_broke_are_not_fetched_again(add, site):
    site.status["/plain/router.onnx"] = 503
    with pytest.raises(BundleError, match="can't answer now"):
        add("{}/plain/")
    del site.status["/plain/router.onnx"]
    add("{}/plain/")
    assert [path for path, _ in site.asked].count("/plain/experts/small.onnx") == 1


def test_files_are_limited_together(site, registry):
    downloads = Downloads(registry.home / ".downloads", limit=20, waits=())
    with (
        pytest.raises(BundleError, match="--limit allows more"),
        Remote(downloads).bundle(f"{site.url}/plain/"),
    ):
        pass


def test_a_damaged_zip_is_named_by_its_address(add, site, registry):
    site.files["/b.zip"] = site.files["/b.zip"][:-30]
    with pytest.raises(BundleError, match=r"^http://127.*/b\.zip: not a zip file"):
        add("{}/b.zip")
    assert not registry.home.exists()


def test_the_same_model_may_be_added_twice(add):
    assert add("{}/b.zip") == add("{}/plain/")


def test_another_model_of_the_same_name_and_version_is_refused(
    add, registry, make_bundle, tmp_path
):
    registry.add(make_bundle(tmp_path / "other", scale=4).directory)
    with pytest.raises(BundleError, match=r"tiny-x2@1\.0\.0 exists already .*with other content"):
        add("{}/b.zip")


@pytest.mark.parametrize(
    "source", ["hf:", "hf:one", "hf:a/b@", "hf:a/../b", "hf:a/b/../../c", "hf:a/b?x", "hf:a/b#x"]
)
def test_what_names_no_repository_is_refused(add, source):
    with pytest.raises(BundleError, match="hf:OWNER/REPO"):
        add(source)


def test_an_entry_of_the_index_that_holds_another_model_is_refused(add, site):
    text = site.files["/index.json"].decode().replace('"1.0.0"', '"2.0.0"')
    site.files["/index.json"] = text.encode()
    with pytest.raises(BundleError, match=r"holds tiny-x2@1\.0\.0, not tiny-x2@2\.0\.0"):
        add("tiny-x2", index="{}/index.json")


def test_a_name_that_is_not_in_the_index_suggests_the_nearest(add):
    with pytest.raises(BundleError, match=r'in the index: tiny-x2 .*mean "tiny-x2"'):
        add("tiny-x3", index="{}/index.json")


def test_a_hash_against_that_of_the_index_is_refused(add):
    with pytest.raises(BundleError, match="the index says SHA-256"):
        add("tiny-x2", index="{}/index.json", sha256="0" * 64)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "not an index"),
        ('{"format": 2, "models": "new"}', "newer format"),
        ('{"format": 1}', "models"),
        ('{"format": 1, "models": [{"name": "x"}]}', r"models\.0\.version"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_index_is_refused(site, downloads, text, words):
    site.files["/index.json"] = text.encode()
    with pytest.raises(BundleError, match=words) as caught:
        read_index(f"{site.url}/index.json", downloads)
    assert "\n" not in str(caught.value)


def test_an_index_of_the_wrong_size_is_refused(site, downloads):
    site.files["/index.json"] = bytes(2**22 + 1)
    with pytest.raises(BundleError, match="larger than 4 MiB"):
        read_index(f"{site.url}/index.json", downloads)


def test_an_index_may_be_a_file_and_is_searched_by_words(site, downloads, tmp_path):
    (tmp_path / "index.json").write_bytes(site.files["/index.json"])
    index = read_index(str(tmp_path / "index.json"), downloads)
    assert [str(entry) for entry in index.search("SMALL cc0")] == ["tiny-x2@1.0.0"]
    assert index.search("large") == []


def test_a_manifest_that_is_none_is_named_by_its_address(add, site):
    site.files[f"/plain/{MANIFEST}"] = b"<html>"
    with pytest.raises(BundleError, match=r"/plain/manifest\.json: not JSON"):
        add("{}/plain/")


@pytest.mark.parametrize("source", ["missing.json", "/dev/zero", "."])
def test_an_index_that_is_no_file_is_refused_and_not_waited_for(downloads, source):
    with pytest.raises(BundleError, match="there is no such index"):
        read_index(source, downloads)


@pytest.mark.parametrize("source", ["missing.zip", "/dev/zero"])
def test_a_pin_on_what_is_no_file_is_refused_and_not_waited_for(source):
    with pytest.raises(BundleError, match="neither a bundle nor a zip file"):
        check_pin(Path(source), "0" * 64)
