"""Files that appear whole or not at all, and what a killed process leaves of those it was at.

A file grows under a name of its own beside its place, `.mmsr-….part`, locked by who writes it.
A lock dies with its process, so that a leftover is told from a file that somebody is writing.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file that is open can't be deleted, which says the same
    fcntl = None  # type: ignore[assignment]

_RUN = os.urandom(4).hex()
"""Tells this process from another one of its number, on another machine or after it."""
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new place beside `path`; what the block wrote there takes its place when it ends well.

    OSError when that can't be written, a full disc that shows late included: the content is on
    the disc before it gets its name. The folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, lock = _new_part(path)
    try:
        try:
            yield part
            os.fsync(lock)
            if fcntl is not None:  # the lock is held until the file has its name
                os.replace(part, path)
        finally:
            os.close(lock)
        if fcntl is None:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def presence(folder: Path) -> Iterator[Path]:
    """An empty file in a folder while the block lasts, for others to see; no sweep removes it."""
    part, lock = _new_part(folder / "presence")
    try:
        yield part
    finally:
        os.close(lock)
        part.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Whether a file of this name is one that `replacing` makes."""
    return name.startswith(".mmsr-") and name.endswith(".part")


def is_being_written(path: Path) -> bool:
    """Whether a living process, this one or another, is writing what will be `path`."""
    return any(_is_locked(part) for part in path.parent.glob(f".mmsr-{_key(path)}-*.part"))


def sweep(folder: Path) -> int:
    """Remove what dead processes left half written in a folder; how many files that were.

    A file that is being written stays, and so does one where the disc knows no locks.
    """
    removed = 0
    for name in _parts(folder):
        with suppress(OSError):
            lock = os.open(folder / name, os.O_RDWR)
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(folder / name)
            finally:
                os.close(lock)
            if fcntl is None:
                os.unlink(folder / name)
            removed += 1
    return removed


def drop_own(folder: Path) -> None:
    """Remove what this process is writing in a folder: for one that must end at once."""
    for name in _parts(folder):
        if f"-{_process()}-" in name:
            with suppress(OSError):
                os.unlink(folder / name)


def _parts(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if is_part(entry.name)]
    except OSError:
        return []


def _key(path: Path) -> str:
    """A name's digest: names of 255 bytes have no room for more letters."""
    return hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()


def _process() -> str:
    return f"{os.getpid():x}.{_RUN}"


def _new_part(path: Path) -> tuple[Path, int]:
    """A new empty file beside `path`, and the descriptor that holds its lock."""
    while True:
        name = f".mmsr-{_key(path)}-{_process()}-{os.urandom(4).hex()}.part"
        part = path.with_name(name)
        lock = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:
            return part, lock
        with suppress(OSError):  # a disc that knows no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Between the two lines above a sweep may have taken it for a leftover.
        if os.fstat(lock).st_nlink:
            return part, lock
        os.close(lock)


def _is_locked(part: Path) -> bool:
    if fcntl is None:
        return True
    try:
        lock = os.open(part, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _TAKEN
    else:
        return False
    finally:
        os.close(lock)
