"""A bundle: the directory that deploys. manifest.json, graphs, and the hash of each of them.

A bundle is data from strangers: nothing in it is executed by Python, every path stays inside
it, and a graph's bytes are checked against the manifest before anybody parses them.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from mmsr_core.errors import BundleError, one_line
from mmsr_core.runtime.codec.manifest import CodecManifest
from mmsr_core.runtime.graphcheck import GRAPH_LIMIT, check_graph
from mmsr_core.runtime.manifest import (
    FORMAT,
    MANIFEST,
    ClassName,
    Effort,
    Expert,
    Facts,
    Fuser,
    InnerPath,
    Made,
    Manifest,
    Name,
    Positive,
    Route,
    Router,
    Sha256,
    Share,
    Tiles,
    Version,
)

__all__ = [
    "BUNDLE_LIMIT",
    "FORMAT",
    "MANIFEST",
    "MANIFEST_LIMIT",
    "Bundle",
    "ClassName",
    "CodecBundle",
    "Effort",
    "Expert",
    "Facts",
    "Fuser",
    "InnerPath",
    "Made",
    "Manifest",
    "Name",
    "Positive",
    "Route",
    "Router",
    "Sealed",
    "Sha256",
    "Share",
    "Tiles",
    "Version",
    "digest",
    "open_any",
    "parse_manifest",
    "read_facts",
    "read_manifest",
    "write_bundle",
    "write_files",
]

MANIFEST_LIMIT = 4 * 2**20
BUNDLE_LIMIT = GRAPH_LIMIT
"""Bytes of all files of a bundle together."""


F_co = TypeVar("F_co", bound=Facts, covariant=True)


@dataclass(frozen=True)
class Sealed(Generic[F_co]):
    """A manifest of any kind and the directory whose files have been checked against it."""

    manifest: F_co
    directory: Path

    def verify(self) -> None:
        """Check every file's presence and hash, and each graph by `check_graph`."""
        for name in self._sizes():
            data = self.graph(name)
            if name in self.manifest.graphs:
                check_graph(data, f"{self.directory}: {name}")

    def files(self) -> dict[str, bytes]:
        """The bytes of every file, each checked as by `graph`."""
        return {name: self.graph(name) for name in self._sizes()}

    def graph(self, name: str) -> bytes:
        """The bytes of one file, checked: what was hashed is what the caller parses."""
        try:
            data = _read(self.directory, name, GRAPH_LIMIT)
        except OSError as error:
            raise BundleError(
                f"{self.directory}: cannot read {name} ({error.strerror}); fetch the bundle again"
            ) from None
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name]:
            raise BundleError(
                f"{self.directory}: {name} is not what the manifest promises (its SHA-256 "
                "differs): damaged or changed; fetch the bundle again"
            )
        return data

    def _sizes(self) -> dict[str, int]:
        """Bytes of each file; BundleError when they are more than a bundle may have."""
        try:
            sizes = {name: (self.directory / name).stat().st_size for name in self.manifest.files}
        except OSError:  # whoever reads it says which
            return dict.fromkeys(self.manifest.files, 0)
        if sum(sizes.values()) > BUNDLE_LIMIT:
            raise BundleError(f"{self.directory}: larger than {BUNDLE_LIMIT >> 20} MiB")
        return sizes


class Bundle(Sealed[Manifest]):
    """A bundle that upscales."""

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Read and verify a bundle directory; BundleError names the first thing wrong."""
        directory = Path(directory)
        bundle = cls(read_manifest(directory), directory)
        bundle.verify()
        return bundle


class CodecBundle(Sealed[CodecManifest]):
    """A bundle that compresses images."""

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Read and verify a codec's directory; BundleError names the first thing wrong."""
        directory = Path(directory)
        facts = read_facts(directory)
        if not isinstance(facts, CodecManifest):
            raise BundleError(
                f"{directory}: {facts.name} upscales, and is no codec; name a codec, such as resgdn"
            )
        bundle = cls(facts, directory)
        bundle.verify()
        return bundle


def open_any(directory: str | Path) -> Sealed[Facts]:
    """Read and verify a bundle directory of any kind; BundleError names the first thing wrong."""
    directory = Path(directory)
    bundle = Sealed(read_facts(directory), directory)
    bundle.verify()
    return bundle


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a directory that upscales, validated, its files not yet looked at."""
    facts = read_facts(directory)
    if not isinstance(facts, Manifest):
        raise BundleError(
            f"{directory}: {facts.name} is a codec, for mmsr compress; name a model that upscales"
        )
    return facts


def read_facts(directory: Path) -> Manifest | CodecManifest:
    """The manifest of a bundle directory, validated, its files not yet looked at."""
    path = directory / MANIFEST
    try:
        data = _read(directory, MANIFEST, MANIFEST_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{directory}: not a bundle, it has no {MANIFEST}") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot read it ({error.strerror})") from None
    return parse_manifest(data, str(path))


def parse_manifest(text: bytes, origin: str) -> Manifest | CodecManifest:
    """The manifest in the bytes of its file, which messages call `origin`."""
    try:
        data = json.loads(text, object_pairs_hook=_once)
        json.dumps(data, ensure_ascii=False).encode()  # half a character is no text
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{origin}: not JSON ({_line(str(error))})") from None
    version = data.get("format") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{origin}: format {str(version)[:20]} is newer than this mmsr reads ({FORMAT}); "
            "upgrade mmsr"
        )
    codec = isinstance(data, dict) and data.get("kind") == "codec"
    try:
        return (CodecManifest if codec else Manifest).model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise BundleError(f"{origin}: {_first_problem(error)}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError for a key given twice: readers differ in which they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice[:64]}" is there twice')
    return found


def _read(directory: Path, name: str, most: int) -> bytes:
    """The bytes of a plain file within a bundle; BundleError for a link that leaves it.

    OSError for what can't be read, what is more than `most` bytes, and what is no plain file:
    a pipe or a device is not even opened, since that may wait for ever.
    """
    path = directory / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
        raise BundleError(f"{directory}: {name} is a link that leaves the bundle")
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "not a plain file")
    with open(path, "rb", opener=_opener) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a plain file")
        if status.st_size > most:
            raise OSError(0, f"larger than {most >> 20} MiB")
        return file.read(most)


def _opener(path: str, flags: int) -> int:
    """Without waiting, should a pipe have taken the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _first_problem(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return _line(f"{where}: {message}" if where else message)


def _line(text: str) -> str:
    """What a stranger's file says, or is quoted with, as one line of bounded length."""
    return one_line(text[:300])


def digest(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file, as a manifest lists them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def write_bundle(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle that upscales, as by `write_files`."""
    write_files(directory, manifest, files)
    return Bundle(manifest, directory)


def write_files(directory: Path, manifest: Facts, files: Mapping[str, bytes]) -> None:
    """Write a bundle of any kind atomically: made beside its place, then renamed into it.

    Raises BundleError when `directory` exists or can't be written.
    """
    if directory.exists():
        raise BundleError(f"{directory}: exists already; remove it or choose another --out")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise BundleError(f"{directory}: cannot write there ({error.strerror})") from None
    try:
        for name, data in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(data)
        (work / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        work.chmod(0o755)
        os.rename(work, directory)
    except OSError as error:
        raise BundleError(f"{directory}: cannot write there ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
