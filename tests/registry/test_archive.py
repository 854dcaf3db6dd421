import stat
import struct
import zipfile

import pytest

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import MANIFEST, Bundle
from mmsr_registry import Registry
from mmsr_registry.archive import ENTRIES, unpack


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "home", tmp_path / "shelf")


@pytest.fixture
def bundle(tmp_path, make_bundle):
    return make_bundle(tmp_path / "bundle").directory


def zipped(bundle, path, under="", compression=zipfile.ZIP_DEFLATED):
    """The bundle as a zip file, in a folder of it if `under` names one."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(bundle.rglob("*")):
            archive.write(file, under + file.relative_to(bundle).as_posix())
    return path


def refusal(registry, path):
    with pytest.raises(BundleError) as caught:
        registry.add(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert ".unpacked" not in message
    assert not registry.home.exists()
    return message


@pytest.mark.parametrize("under", ["", "tiny-x2/"])
def test_a_zipped_bundle_is_added_as_its_folder_would_be(registry, bundle, tmp_path, under):
    added = registry.add(zipped(bundle, tmp_path / "b.zip", under))
    assert Bundle.open(added.directory).manifest == Bundle.open(bundle).manifest
    assert [path.name for path in registry.home.iterdir()] == ["tiny-x2"]


def test_only_what_the_manifest_names_is_unpacked(bundle, tmp_path):
    path = zipped(bundle, tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("stowaway.bin", b"x" * 2**20)
    (tmp_path / "out").mkdir()
    unpack(path, tmp_path / "out")
    assert not (tmp_path / "out/stowaway.bin").exists()


def test_a_changed_graph_in_a_zip_is_refused(registry, bundle, tmp_path):
    (bundle / "router.onnx").write_bytes(b"changed")
    assert "SHA-256" in refusal(registry, zipped(bundle, tmp_path / "b.zip"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "c:/evil"])
def test_an_entry_that_leaves_the_bundle_is_refused(registry, bundle, tmp_path, name):
    path = zipped(bundle, tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    assert "leaves the bundle" in refusal(registry, path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_a_link_or_a_device_is_refused(registry, bundle, tmp_path, kind):
    path = zipped(bundle, tmp_path / "b.zip")
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, b"/etc/passwd")
    assert "a link or a device" in refusal(registry, path)


@pytest.mark.parametrize("name", ["router.onnx", "ROUTER.onnx"])
def test_entries_of_one_name_are_refused(registry, bundle, tmp_path, name):
    path = zipped(bundle, tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns() if name.islower() else nothing():
        archive.writestr(name, b"other")
    assert "share the name" in refusal(registry, path)


class nothing:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


def test_an_encrypted_entry_is_refused(registry, bundle, tmp_path):
    path = zipped(bundle, tmp_path / "b.zip")
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in refusal(registry, path)


def test_a_bomb_is_refused_by_what_it_declares(bundle, tmp_path):
    (bundle / "router.onnx").write_bytes(bytes(2**22))
    path = zipped(bundle, tmp_path / "b.zip")
    assert path.stat().st_size < 2**15
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match="unpacked it is larger than 1 MiB"):
        unpack(path, tmp_path / "out", limit=2**20)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bomb_that_declares_too_little_is_cut_off(registry, bundle, tmp_path):
    (bundle / "router.onnx").write_bytes(bytes(2**22))
    path = zipped(bundle, tmp_path / "b.zip")
    data = path.read_bytes().replace(struct.pack("<L", 2**22), struct.pack("<L", 2**10))
    path.write_bytes(data)
    assert "damaged" in refusal(registry, path)


def test_a_huge_directory_of_entries_is_not_even_read(registry, tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(ENTRIES + 1):
            archive.writestr(str(number), b"")
    assert f"more than {ENTRIES} entries" in refusal(registry, path)


def test_the_large_form_of_zip_is_refused(registry, bundle, tmp_path):
    path = zipped(bundle, tmp_path / "b.zip")
    data = path.read_bytes()
    place = data.rfind(b"PK\x05\x06")
    locator = b"PK\x06\x07" + bytes(16)
    path.write_bytes(data[:place] + locator + data[place:])
    assert "entries" in refusal(registry, path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06", b"hello" * 100], ids=str)
def test_what_is_no_zip_file_is_refused(registry, tmp_path, content):
    path = tmp_path / "b.zip"
    path.write_bytes(content[:40])
    assert "not a zip file" in refusal(registry, path)


def test_two_bundles_in_one_zip_are_refused(registry, bundle, tmp_path):
    path = zipped(bundle, tmp_path / "b.zip", "one/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"two/{MANIFEST}", b"{}")
    assert "holds one bundle" in refusal(registry, path)


def test_a_zip_without_a_manifest_is_refused(registry, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("photo.jpg", b"x")
    assert f"no {MANIFEST}" in refusal(registry, tmp_path / "b.zip")


def test_a_zip_that_lacks_a_graph_is_refused(registry, bundle, tmp_path):
    (bundle / "router.onnx").unlink()
    assert "router.onnx is missing" in refusal(registry, zipped(bundle, tmp_path / "b.zip"))
