import errno
import hashlib
import shutil
from pathlib import Path

import pytest
from webserver import Site, serving

from mmsr_core.errors import BundleError
from mmsr_registry.download import Downloads, check_address

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site():
    with serving(Site(files={"/model.zip": CONTENT})) as site:
        yield site


@pytest.fixture
def downloads(tmp_path):
    return Downloads(tmp_path / "home/.downloads", waits=(0.0,))


def refusal(downloads, url, **options):
    with pytest.raises(BundleError) as caught:
        downloads.fetch(url, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_arrives_as_it_is(site, downloads):
    assert downloads.fetch(f"{site.url}/model.zip", DIGEST).read_bytes() == CONTENT


def test_progress_ends_with_all_bytes(site, tmp_path):
    seen = []
    downloads = Downloads(tmp_path, progress=lambda done, total: seen.append((done, total)))
    downloads.fetch(f"{site.url}/model.zip")
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_is_gone_on_with(site, downloads):
    site.breaks = [300_000]
    assert downloads.fetch(f"{site.url}/model.zip", DIGEST).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == ["", "bytes=300000-"]


def test_a_later_call_goes_on_where_the_last_one_stopped(site, downloads):
    site.breaks = [300_000, 300_000]
    assert "600000 of 1048576 bytes; the same command goes on" in refusal(
        downloads, f"{site.url}/model.zip"
    )
    assert downloads.fetch(f"{site.url}/model.zip", DIGEST).read_bytes() == CONTENT
    assert site.asked[-1][1] == "bytes=600000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, downloads):
    site.breaks = [300_000, 0]
    refusal(downloads, f"{site.url}/model.zip")
    site.files["/model.zip"] = changed = CONTENT[::-1]
    assert downloads.fetch(f"{site.url}/model.zip").read_bytes() == changed


@pytest.mark.parametrize("lack", ["ranges", "tagged"])
def test_a_server_that_can_not_resume_is_asked_for_all(site, downloads, lack):
    setattr(site, lack, False)
    site.breaks = [300_000]
    assert downloads.fetch(f"{site.url}/model.zip", DIGEST).read_bytes() == CONTENT


def test_a_finished_file_of_the_right_hash_is_not_fetched_again(site, downloads):
    downloads.fetch(f"{site.url}/model.zip", DIGEST)
    downloads.fetch(f"{site.url}/model.zip", DIGEST)
    assert len(site.asked) == 1


def test_a_finished_file_of_no_known_hash_is_fetched_again(site, downloads):
    downloads.fetch(f"{site.url}/model.zip")
    assert downloads.fetch(f"{site.url}/model.zip").read_bytes() == CONTENT


def test_another_hash_is_refused_and_leaves_nothing(site, downloads):
    assert "its SHA-256 is" in refusal(downloads, f"{site.url}/model.zip", sha256="0" * 64)
    assert not downloads.folder.exists()


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_beyond_the_limit_is_refused(site, tmp_path, sized):
    site.sized = sized
    downloads = Downloads(tmp_path / "d", limit=2**19)
    assert "larger than 0.5 MiB; --limit allows more" in refusal(downloads, f"{site.url}/model.zip")


def test_a_declared_size_beyond_the_limit_costs_no_byte(site, tmp_path):
    refusal(Downloads(tmp_path / "d", limit=2**19), f"{site.url}/model.zip")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "there is nothing at this address"),
        (401, "not open to everybody"),
        (403, "not open to everybody"),
        (503, "the server can't answer now"),
        (400, "the server refuses"),
    ],
)
def test_an_error_of_the_server_is_one_line(site, downloads, status, words):
    site.status["/model.zip"] = status
    assert words in refusal(downloads, f"{site.url}/model.zip")


def test_a_server_that_is_not_there_is_one_line(downloads):
    with serving(Site()) as gone:
        pass
    assert "cannot reach 127.0.0.1 (Connection refused)" in refusal(downloads, f"{gone.url}/x")


def test_a_redirect_on_this_machine_is_followed(site, downloads):
    site.redirects["/latest"] = "/model.zip"
    assert downloads.fetch(f"{site.url}/latest", DIGEST).read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["http://example.org/x", "file:///etc/passwd", "ftp://a/x"])
def test_a_redirect_away_from_https_is_refused(site, downloads, target):
    site.redirects["/latest"] = target
    refusal(downloads, f"{site.url}/latest")


def test_redirects_in_a_circle_are_refused(site, downloads):
    site.redirects["/a"] = "/a"
    assert "in circles" in refusal(downloads, f"{site.url}/a")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/x.zip", "not encrypted"),
        ("ftp://example.org/x.zip", "starts with https://"),
        ("file:///etc/passwd", "starts with https://"),
        ("https://", "starts with https://"),
        ("https://a b/x", "starts with https://"),
        ("https://me:secret@example.org/x", "leave it out"),
        ("https://example.org:port/x", "not an address"),
    ],
)
def test_an_address_that_is_not_https_is_refused(url, words):
    with pytest.raises(BundleError, match=words) as caught:
        check_address(url)
    assert "secret" not in str(caught.value)


def test_https_does_not_redirect_to_this_machine_in_the_clear():
    with pytest.raises(BundleError, match=r"https://example\.org/x redirects to http://127"):
        check_address("http://127.0.0.1/x", redirected_from="https://example.org/x")


def test_a_full_disk_is_one_line_and_leaves_nothing(site, downloads, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Downloads, "_copy", full)
    assert "No space left" in refusal(downloads, f"{site.url}/model.zip")
    assert not downloads.folder.exists()


def test_two_downloads_of_one_address_do_not_mix(site, downloads):
    fcntl = pytest.importorskip("fcntl")
    part = downloads.fetch(f"{site.url}/model.zip")
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another mmsr is downloading it" in refusal(downloads, f"{site.url}/model.zip")
    assert part.read_bytes() == CONTENT


def test_an_old_unfinished_download_is_swept_away(site, downloads):
    import os

    downloads.folder.mkdir(parents=True)
    old = downloads.folder / "old.part"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    downloads.fetch(f"{site.url}/model.zip")
    assert not old.exists()


def test_a_folder_that_can_not_be_written_is_one_line(site, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot write there" in refusal(Downloads(tmp_path / "file/d"), f"{site.url}/model.zip")


def test_nothing_is_left_open_or_beside(site, downloads, tmp_path):
    part = downloads.fetch(f"{site.url}/model.zip")
    assert list(Path(downloads.folder).iterdir()) == [part]
    shutil.rmtree(tmp_path / "home")
