"""Files at URLs: found, fetched and put, in any store that fsspec knows.

Whatever a store raises becomes an ImageError of one line that begins with the URL.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from mmsr_core.errors import ImageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_MAGIC = frozenset("*?[")
_WEB = ("http", "https")
_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "tos", "hf"}
"""Protocols of stores in which a file appears whole or not at all."""
_TIMES = ("LastModified", "mtime", "updated", "last_modified", "modified")
"""What the stores call the time at which a file was made."""


@dataclass(frozen=True)
class Remote:
    """A file in a store: its URL, its place below what was listed, and when it was made."""

    url: str
    place: PurePosixPath
    made: float | None = None


def is_url(text: str) -> bool:
    """Whether a text is a URL and no path."""
    return _URL.match(text) is not None


def is_web(url: str) -> bool:
    """Whether a URL is a web server's, which can only be read, and not listed."""
    return urlsplit(url).scheme.lower() in _WEB


def name_of(url: str) -> PurePosixPath:
    """The file name at the end of a URL."""
    path = urlsplit(url).path
    return PurePosixPath(PurePosixPath(unquote(path) if is_web(url) else path).name)


def join(url: str, place: PurePosixPath) -> str:
    """The URL of what lies below another."""
    return f"{url.rstrip('/')}/{place.as_posix()}"


def find(url: str, images: Collection[str], others: Collection[str]) -> Iterator[Remote]:
    """The files that a URL means: itself, those below it with a suffix in `images`, those that
    match its pattern with a suffix also in `others`, or those of a web server's list."""
    if is_web(url):
        if name_of(url).suffix.lower() in {*images, *others}:
            yield Remote(url, name_of(url))
        else:
            yield from _listed(url)
        return
    store, path = _opened(url)
    top, wanted = path, {*images}
    with _reaching(url):
        store.invalidate_cache()
        if _MAGIC & set(path):
            parts = path.split("/")
            fixed = next(n for n, part in enumerate(parts) if _MAGIC & set(part))
            top, wanted = "/".join(parts[:fixed]), {*images, *others}
            infos = store.glob(path, detail=True)
            base = "/".join(url.split("/")[: fixed - len(parts)])
        else:
            info = store.info(path)
            if info["type"] == "file":
                yield Remote(url, name_of(url), _made(info))
                return
            infos, base = store.find(path, detail=True), url
    for name in sorted(infos):
        place = PurePosixPath(name[len(top) :].lstrip("/"))
        hidden = any(part.startswith(".") and part != ".." for part in place.parts)
        if infos[name]["type"] == "file" and place.suffix.lower() in wanted and not hidden:
            yield Remote(join(base, place), place, _made(infos[name]))


def _listed(url: str) -> Iterator[Remote]:
    """The files of a list: a URL a line, one without a host relative to the list."""
    store, path = _opened(url)
    with _reaching(url):
        text = store.cat_file(path)
    if b"\0" in text:
        raise ImageError(f"{url}: neither an image by its name nor a list of URLs")
    for line in text.decode("utf-8", "replace").splitlines():
        if named := line.strip():
            yield remote(named if is_url(named) else urljoin(url, named), named)


def remote(url: str, named: str) -> Remote:
    """A file that a list names: a relative name keeps its folders."""
    place = PurePosixPath(os.path.normpath(unquote(named)))
    if is_url(named) or place.is_absolute() or ".." in place.parts:
        place = name_of(url)
    return Remote(url, place)


def made_below(url: str) -> dict[str, float | None]:
    """Every file at or below a URL, with the time at which it was made."""
    store, path = _opened(url)
    with _reaching(url), suppress(FileNotFoundError):
        store.invalidate_cache()
        infos = store.find(path, detail=True)
        base = url.rstrip("/")
        return {base + name[len(path.rstrip("/")) :]: _made(info) for name, info in infos.items()}
    return {}


def check_writable(url: str) -> None:
    """ImageError when nothing can be written below a URL: an empty file is, and taken away."""
    if is_web(url):
        raise ImageError(f"{url}: a web server takes no files; give a folder, or s3:// or gs://")
    store, path = _opened(url)
    probe = f"{path.rstrip('/')}/.mmsr-{os.urandom(4).hex()}.part"
    with _reaching(url):
        if not _is_whole(store):
            store.makedirs(path, exist_ok=True)
        store.pipe_file(probe, b"")
        with suppress(Exception):  # a store that lets nobody remove anything
            store.rm_file(probe)


def fetch(url: str, path: Path) -> None:
    """Copy a file from its store."""
    store, name = _opened(url)
    with _reaching(url):
        store.get_file(name, str(path))


def put(path: Path, url: str) -> None:
    """Copy a file into a store, where it appears whole or not at all."""
    store, name = _opened(url)
    with _reaching(url):
        if _is_whole(store):
            store.put_file(str(path), name)
            return
        folder = name.rpartition("/")[0]
        store.makedirs(folder, exist_ok=True)
        part = f"{folder}/.mmsr-{os.urandom(8).hex()}.part"
        try:
            store.put_file(str(path), part)
            store.mv(part, name)
        except BaseException:
            with suppress(Exception):
                store.rm_file(part)
            raise


def _is_whole(store: Any) -> bool:
    protocols = (store.protocol,) if isinstance(store.protocol, str) else store.protocol
    return not _WHOLE.isdisjoint(protocols)


def _opened(url: str) -> tuple[Any, str]:
    """The store of a URL, and the name that the file has there."""
    import fsspec
    from fsspec.registry import known_implementations

    try:
        store, path = fsspec.url_to_fs(url)
    except ImportError:
        scheme = url.partition("://")[0].rpartition("::")[2]
        hint = known_implementations.get(scheme, {}).get("err", "install what fsspec needs for it")
        raise ImageError(f"{url}: {hint}, on every node") from None
    except Exception as error:
        raise ImageError(f"{url}: {_reason(error)}") from None
    return store, path


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Make one line of what a store raises: each has errors of its own."""
    try:
        yield
    except (ImageError, GeneratorExit):
        raise
    except FileNotFoundError:
        raise ImageError(f"{url}: no such file or folder") from None
    except PermissionError as error:
        raise ImageError(f"{url}: no permission ({_reason(error)})") from None
    except Exception as error:
        raise ImageError(f"{url}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def _made(info: dict[str, Any]) -> float | None:
    """Seconds since 1970 at which a file was made, where its store says so."""
    value = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
