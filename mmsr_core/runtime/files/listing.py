"""What to upscale: files, folders, patterns and lists become files, each with its place."""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mmsr_core.errors import ImageError

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """A file, and where its answer belongs below an output folder."""

    source: Path
    place: Path


@dataclass
class Listing:
    """All that was found, in the order of the inputs, and what could not be looked at."""

    found: list[Found] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    """A folder or file with the reason why it can't be looked at."""
    one_file: bool = False
    """Whether a single file was named, so that the output may be a file's name."""


def list_files(
    inputs: Sequence[Path],
    listed: Iterable[str] | None,
    images: Collection[str],
    others: Collection[str] = (),
    aside: Path | None = None,
) -> Listing:
    """Every file that the inputs mean; ImageError for an input that means none.

    A folder gives its files with a suffix in `images`, at any depth, its tree kept; a pattern
    (`*`, `?`, `[…]`, `**` for folders at any depth) also those in `others`, and keeps the tree
    below its last folder without a wildcard. `listed` are paths of a list: a relative one keeps
    its folders, and one that is not there is refused alone. Hidden files and folders are passed
    over, links are followed, each folder is looked at once, and `aside` never.
    """
    listing = Listing()
    for given in inputs:
        if given.is_dir():
            _add_folder(listing, given, images, aside)
        elif given.is_file():
            listing.found.append(Found(given, Path(given.name)))
        elif given.exists():  # a pipe or a device: it might never end
            raise ImageError(f"{given}: neither a file nor a folder")
        elif _MAGIC & set(str(given)):
            _add_matches(listing, given, {*images, *others}, aside)
        else:
            raise ImageError(f"{given}: no such file or folder")
    for line in listed or ():
        _add_line(listing, Path(line), images, aside)
    if not listing.found and not listing.refused:
        raise ImageError("the list on standard input names no file")
    listing.found[:] = dict.fromkeys(listing.found)  # named twice is meant once
    listing.one_file = listed is None and len(inputs) == 1 and inputs[0].is_file()
    return listing


def _add_folder(
    listing: Listing, folder: Path, images: Collection[str], aside: Path | None
) -> None:
    before = len(listing.found), len(listing.refused)
    for path in sorted(_walk(folder, None, aside, images, listing.refused)):
        listing.found.append(Found(path, path.relative_to(folder)))
    if before == (len(listing.found), len(listing.refused)):
        raise ImageError(f"{folder}: no image in this folder ({' '.join(images)})")


def _add_matches(
    listing: Listing, pattern: Path, suffixes: Collection[str], aside: Path | None
) -> None:
    fixed = next(n for n, part in enumerate(pattern.parts) if _MAGIC & set(part))
    top, wanted = Path(*pattern.parts[:fixed]), pattern.parts[fixed:]
    depth = None if "**" in wanted else len(wanted)
    refused: list[tuple[Path, str]] = []
    found = [
        Found(path, path.relative_to(top))
        for path in sorted(_walk(top, depth, aside, suffixes, refused))
        if _matches(path.relative_to(top).parts, wanted)
    ]
    if not found:
        raise ImageError(f"{pattern}: no image matches this pattern")
    listing.found += found
    listing.refused += [one for one in refused if one[0] != top]


def _add_line(listing: Listing, path: Path, images: Collection[str], aside: Path | None) -> None:
    place = Path(os.path.normpath(path))
    if place.is_absolute() or ".." in place.parts:
        place = Path(place.name)
    if path.is_dir():
        for inner in sorted(_walk(path, None, aside, images, listing.refused)):
            listing.found.append(Found(inner, place / inner.relative_to(path)))
    elif path.is_file():
        listing.found.append(Found(path, place))
    else:
        there = path.exists()
        reason = "neither a file nor a folder" if there else "no such file or folder"
        listing.refused.append((path, reason))


def _walk(
    top: Path,
    depth: int | None,
    aside: Path | None,
    suffixes: Collection[str],
    refused: list[tuple[Path, str]],
) -> Iterator[Path]:
    """Files of these suffixes at most `depth` levels down, folders before the links to them."""
    seen = {_identity(aside)} if aside is not None and aside.is_dir() else set()
    seen -= {_identity(top)} if top.is_dir() else set()
    folders, links = deque([(top, 1)]), deque[tuple[Path, int]]()
    while folders or links:
        folder, level = (folders or links).popleft()
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as scan:
                entries = [entry for entry in scan if not entry.name.startswith(".")]
        except OSError as error:
            refused.append((folder, f"cannot list it ({error.strerror})"))
            continue
        for entry in entries:
            path = folder / entry.name
            if path.is_dir():
                if depth is None or level < depth:
                    (links if entry.is_symlink() else folders).append((path, level + 1))
            elif path.suffix.lower() in suffixes:
                if path.is_file():
                    yield path
                elif entry.is_symlink() and not path.exists():
                    refused.append((path, "a link to a file that is not there"))


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return _matches(parts, wanted[1:]) or (bool(parts) and _matches(parts[1:], wanted))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])
