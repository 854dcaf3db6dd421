"""Files at URLs, in moto's S3, on a web server and in memory."""

import json

import pytest
from webserver import Site, serving

from mmsr_core.cluster import stores
from mmsr_core.errors import ImageError

IMAGES = (".png", ".jpg")


def places(url, others=()):
    return [one.place.as_posix() for one in stores.find(url, IMAGES, others)]


@pytest.fixture
def full(bucket):
    for name in (
        "in/a.png",
        "in/b c.jpg",
        "in/.hidden/d.png",
        "in/deep/e.png",
        "in/v.mp4",
        "f.txt",
    ):
        bucket.pipe_file(f"shop/{name}", name.encode())
    return bucket


def test_a_folder_gives_its_images_at_any_depth_but_hidden_ones(full):
    assert places("s3://shop/in") == places("s3://shop/in/") == ["a.png", "b c.jpg", "deep/e.png"]
    assert places("s3://shop") == ["in/a.png", "in/b c.jpg", "in/deep/e.png"]
    (one,) = [one for one in stores.find("s3://shop/in", IMAGES, ()) if one.place.name == "a.png"]
    assert one.url == "s3://shop/in/a.png"
    assert one.made > 1e9


def test_a_pattern_gives_what_matches_videos_too(full):
    assert places("s3://shop/*/*", (".mp4",)) == ["in/a.png", "in/b c.jpg", "in/v.mp4"]
    urls = [one.url for one in stores.find("s3://shop/i*/**/*.png", IMAGES, ())]
    assert urls == ["s3://shop/in/a.png", "s3://shop/in/deep/e.png"]


def test_a_file_is_itself_whatever_its_suffix(full):
    assert places("s3://shop/f.txt") == ["f.txt"]


def test_what_is_put_is_fetched_and_listed(full, tmp_path):
    (tmp_path / "x").write_bytes(b"new")
    stores.put(tmp_path / "x", "s3://shop/out/x.png")
    stores.fetch("s3://shop/out/x.png", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"new"
    assert list(stores.made_below("s3://shop/out")) == ["s3://shop/out/x.png"]
    assert list(stores.made_below("s3://shop/out/x.png")) == ["s3://shop/out/x.png"]
    assert stores.made_below("s3://shop/none") == {}


def test_looking_whether_one_may_write_leaves_nothing(full):
    before = full.find("shop")
    stores.check_writable("s3://shop/out")
    full.invalidate_cache()
    assert full.find("shop") == before


def test_what_is_not_there_is_one_line(full, tmp_path):
    for url in ("s3://shop/none", "s3://none/in", "s3://shop/none.png"):
        with pytest.raises(ImageError, match=f"^{url}: no such file or folder$"):
            places(url)
    with pytest.raises(ImageError, match="no such file or folder"):
        stores.fetch("s3://shop/none.png", tmp_path / "x")
    with pytest.raises(ImageError, match="no such file or folder"):
        stores.check_writable("s3://none/out")


def test_a_path_without_permission_is_one_line(full, s3, monkeypatch):
    """A user who may list and read, and not write, as S3 itself decides it."""
    import boto3
    import requests
    import s3fs

    allowed = {"Effect": "Allow", "Action": ["s3:List*", "s3:Get*"], "Resource": "*"}
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    requests.post(f"{s3}/moto-api/reset-auth", data=b"0")
    try:
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(ImageError, match=r"^s3://shop/in: no permission \("):
            places("s3://shop/in")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        s3fs.S3FileSystem.clear_instance_cache()
        assert places("s3://shop/in") == ["a.png", "b c.jpg", "deep/e.png"]
        with pytest.raises(ImageError, match=r"^s3://shop/out: no permission \("):
            stores.check_writable("s3://shop/out")
    finally:
        requests.post(f"{s3}/moto-api/reset-auth", data=b"inf")
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_list_on_a_web_server_gives_its_files(tmp_path):
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    lines = (
        b"a.png\n\ndeep/b%20c.jpg\nhttp://elsewhere/d.png\n/top/e.png\n../f.png\ns3://shop/g.png\n"
    )
    with serving(Site({"/lists/all.txt": lines, "/lists/a.png": b"picture"})) as site:
        found = list(stores.find(f"{site.url}/lists/all.txt", IMAGES, ()))
        stores.fetch(found[0].url, tmp_path / "a")
    assert [(one.url.removeprefix(site.url), one.place.as_posix()) for one in found] == [
        ("/lists/a.png", "a.png"),
        ("/lists/deep/b%20c.jpg", "deep/b c.jpg"),
        ("http://elsewhere/d.png", "d.png"),
        ("/top/e.png", "e.png"),
        ("/f.png", "f.png"),
        ("s3://shop/g.png", "g.png"),
    ]
    assert (tmp_path / "a").read_bytes() == b"picture"


def test_an_image_on_a_web_server_is_itself():
    assert places("https://elsewhere/a%20b.png?large=1") == ["a b.png"]


def test_a_web_server_takes_no_files():
    with pytest.raises(ImageError, match="a web server takes no files"):
        stores.check_writable("https://elsewhere/out")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nosuch://a/b", "nosuch://a/b: Protocol not known: nosuch"),
        ("http://127.0.0.1:1/list.txt", "list.txt: Connect call failed"),
    ],
)
def test_a_store_that_is_not_there_is_one_line(url, line):
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    with pytest.raises(ImageError, match=line):
        places(url)


def test_where_a_store_can_rename_a_file_gets_its_name_last(tmp_path, monkeypatch):
    import fsspec

    store = fsspec.filesystem("memory")
    (tmp_path / "x").write_bytes(b"new")
    seen = []
    real = store.put_file

    def put_file(local, name):
        seen.append(name)
        real(local, name)

    monkeypatch.setattr(type(store), "put_file", lambda self, local, name: put_file(local, name))
    stores.put(tmp_path / "x", "memory://out/x.png")
    assert store.cat_file("/out/x.png") == b"new"
    assert [name.rpartition("/")[2][:6] for name in seen] == [".mmsr-"]
    assert store.find("/out") == ["/out/x.png"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://a/b", True),
        ("simplecache::s3://a/b", True),
        ("http://a", True),
        ("/a/b", False),
        ("C://a", False),
        ("a:b//c", False),
        ("photos/s3://x", False),
    ],
)
def test_a_url_is_told_from_a_path(text, expected):
    assert stores.is_url(text) == expected
