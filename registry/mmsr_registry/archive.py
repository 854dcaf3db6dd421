"""Bundles in zip files: read entry by entry, never extracted at large.

A zip file is data from strangers. What it says about its sizes, names and kinds of entries is
checked before anything is unpacked, and again while it is.
"""

import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import BUNDLE_LIMIT, MANIFEST, MANIFEST_LIMIT, parse_manifest

ENTRIES = 1024
"""Files that a zip file may hold, those that no bundle needs included."""
_END = struct.Struct("<4s4H2LH")
"""The end of the central directory: signature, disks, entries, its size and place, comment."""
_KINDS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def unpack(path: Path, folder: Path, limit: int = BUNDLE_LIMIT) -> None:
    """Write the bundle that lies in the zip file `path`, at its root or in its one folder.

    Only the manifest and the files that it names are unpacked, `limit` bytes at most. Raises
    BundleError for a zip file that is damaged, encrypted or too large, or whose entries are
    links, leave the bundle, or share one name.
    """
    try:
        _check_end(path)
        with zipfile.ZipFile(path) as archive:
            _unpack(archive, path, folder, limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        why = ascii(str(error)[:100])[1:-1]  # it may quote a stranger at length
        raise BundleError(f"{path}: not a zip file, or a damaged one ({why})") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot unpack it ({error.strerror or error})") from None


def _check_end(path: Path) -> None:
    """Refuse what zipfile would spend memory on before anybody has seen an entry."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - _END.size - 20))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > len(tail):
        raise zipfile.BadZipFile("it has no end")
    _, _, _, _, entries, length, _, _ = _END.unpack_from(tail, place)
    if entries > ENTRIES or length > ENTRIES * 512 or tail[:place].endswith(b"PK\x06\x07", 0, -16):
        raise BundleError(f"{path}: a zip file of more than {ENTRIES} entries, no bundle")


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path, limit: int) -> None:
    entries = _entries(archive, path)
    roots = [name for name in entries if PurePosixPath(name).name == MANIFEST and _top(name)]
    if len(roots) != 1:
        raise BundleError(
            f"{path}: it has {len(roots) or 'no'} {MANIFEST} at its root or in a folder there; a "
            "zip file holds one bundle"
        )
    root = roots[0].removesuffix(MANIFEST)
    text = _bytes(archive, entries[roots[0]], MANIFEST_LIMIT, path)
    manifest = parse_manifest(text, f"{path}: {MANIFEST}")
    if missing := [name for name in manifest.files if root + name not in entries]:
        raise BundleError(f"{path}: {missing[0]} is missing")
    wanted = {name: entries[root + name] for name in manifest.files}
    if sum(entry.file_size for entry in wanted.values()) > limit:
        raise BundleError(f"{path}: unpacked it is larger than {limit >> 20} MiB")
    (folder / MANIFEST).write_bytes(text)
    for name, entry in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, (folder / name).open("xb") as target:
            shutil.copyfileobj(source, target, 2**20)  # ends at the size that the entry declares


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files by name; folders are left out."""
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for entry in archive.infolist():
        name = entry.filename
        shown = ascii(name[:100])
        kind = stat.S_IFMT(entry.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/") or "\\" in entry.orig_filename or ":" in name:
            raise BundleError(f"{path}: its entry {shown} leaves the bundle")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(f"{path}: its entry {shown} is a link or a device")
        if entry.flag_bits & 0x1:
            raise BundleError(f"{path}: its entry {shown} is encrypted")
        if name.lower() in seen:
            raise BundleError(f"{path}: two entries share the name {shown}")
        if entry.compress_type not in _KINDS:
            raise BundleError(f"{path}: its entry {shown} is compressed in a rare way; use deflate")
        seen.add(name.lower())
        if not entry.is_dir():
            found[name] = entry
    return found


def _top(name: str) -> bool:
    return name.count("/") <= 1


def _bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    if entry.file_size > most:
        raise BundleError(f"{path}: its {entry.filename} is larger than {most >> 20} MiB")
    return archive.read(entry)
