"""Bundles from elsewhere: an address, a model hub, or a name in an index."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import MANIFEST, MANIFEST_LIMIT, parse_manifest
from mmsr_registry.archive import unpack
from mmsr_registry.download import Downloads
from mmsr_registry.index import read_index

HUB = "https://huggingface.co"
_HUB_SPEC = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>[\w./-]+))?", re.ASCII
)


def is_remote(source: str) -> bool:
    """Whether a text names something on another machine."""
    return "://" in source or source.startswith("hf:")


class Remote:
    """Where models come from; nothing is fetched until `bundle` is called."""

    def __init__(self, downloads: Downloads, hub: str = HUB) -> None:
        """Download with `downloads`; `hub` speaks as huggingface.co does."""
        self._downloads, self._hub = downloads, hub

    @contextmanager
    def bundle(
        self, source: str, index: str | None = None, sha256: str | None = None
    ) -> Iterator[Path]:
        """The directory of a downloaded bundle, not yet verified, while the block lasts.

        `source` is the address of a zip file or of a manifest.json, hf:OWNER/REPO[@REVISION]
        [/PATH], or, with an `index`, a name or name@version. `sha256` pins the zip file, or the
        manifest, and with it all that the manifest lists. Raises BundleError.
        """
        named = None
        if index is not None:
            named = read_index(index, self._downloads).find(source)
            if sha256 not in (None, named.sha256):
                raise BundleError(f"{named}: the index says SHA-256 {named.sha256}, not {sha256}")
            source, sha256 = named.url, named.sha256
        url = self._hub_address(source) if source.startswith("hf:") else source
        if urlsplit(url).path.endswith("/"):
            url = f"{url}{MANIFEST}"
        with self._work_folder() as folder:
            if urlsplit(url).path.endswith(f"/{MANIFEST}"):
                self._fetch_files(url, sha256, folder)
            else:
                self._fetch_zip(url, sha256, folder)
            if named is not None:
                got = parse_manifest((folder / MANIFEST).read_bytes(), url)
                if (got.name, got.version) != (named.name, named.version):
                    raise BundleError(f"{url}: holds {got.name}@{got.version}, not {named}")
            yield folder

    @contextmanager
    def _work_folder(self) -> Iterator[Path]:
        home = self._downloads.folder.parent
        try:
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetched.", dir=home) as folder:
                yield Path(folder)
        except OSError as error:
            raise BundleError(f"{home}: cannot write there ({error.strerror})") from None
        finally:
            with suppress(OSError):  # where it was made for nothing
                home.rmdir()

    def _fetch_zip(self, url: str, sha256: str | None, folder: Path) -> None:
        path = self._downloads.fetch(url, sha256)
        try:
            unpack(path, folder)
        except BundleError as error:
            raise BundleError(str(error).replace(str(path), url)) from None
        finally:
            self._downloads.discard(path)

    def _fetch_files(self, url: str, sha256: str | None, folder: Path) -> None:
        fetched = self._downloads.fetch(url, sha256, min(MANIFEST_LIMIT, self._downloads.limit))
        text = fetched.read_bytes()
        self._downloads.discard(fetched)
        manifest = parse_manifest(text, url)
        (folder / MANIFEST).write_bytes(text)
        left = self._downloads.limit
        head, _, query = url.partition("?")
        parts = []
        for name, digest in manifest.files.items():
            there = head.removesuffix(MANIFEST) + quote(name) + (f"?{query}" if query else "")
            parts.append(self._downloads.fetch(there, digest, left))
            left -= parts[-1].stat().st_size
        for part, name in zip(parts, manifest.files, strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            part.rename(folder / name)
            self._downloads.discard(part)

    def _hub_address(self, source: str) -> str:
        match = _HUB_SPEC.fullmatch(source)
        if not match or ".." in source:
            raise BundleError(f'"{source}": a model of the hub is hf:OWNER/REPO[@REVISION][/PATH]')
        path = (match["path"] or "").strip("/")
        if not path.endswith(".zip"):
            path = f"{path}/{MANIFEST}".lstrip("/")
        return f"{self._hub}/{match['repo']}/resolve/{match['revision'] or 'main'}/{path}"


def check_pin(path: Path, sha256: str) -> None:
    """Raise BundleError when a zip file, or the manifest in a directory, has another SHA-256."""
    pinned = path / MANIFEST if path.is_dir() else path
    if not pinned.is_file():
        raise BundleError(f"{path}: neither a bundle nor a zip file")
    try:
        with pinned.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{pinned}: cannot read it ({error.strerror})") from None
    if got != sha256:
        raise BundleError(f"{pinned}: its SHA-256 is {got}, not {sha256}")
