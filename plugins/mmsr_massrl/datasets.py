"""Labelled images for the protocols: class folders, a zip of class folders, or an index file.

    DIR/train/CLASS/*.jpg, DIR/test/CLASS/*.jpg     or DIR/CLASS/*.jpg, a part of it held out
    the same inside a .zip, under one top folder or none; nothing is ever unpacked
    a .csv with the heads path,label[,split]; paths relative to it, split is train or test

Where there is no test split, a part of every class is held out, the same for every seed.
"""

import csv
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mmsr_core.errors import ImageError, MmsrError
from mmsr_massrl.labelled import Images, Ints

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
TESTS = ("test", "val", "validation")
"""What the folder of the test split may be called."""
HELD_OUT = 0.2
LARGEST = 2**26
"""Bytes that one image file may have."""


@dataclass(frozen=True)
class Dataset:
    """Images of known classes to learn from and to be tested on."""

    name: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    held_out: bool
    """Whether the test split was held out of the only one there was."""


@contextmanager
def open_dataset(path: Path) -> Iterator[Dataset]:
    """The data set at a path; MmsrError in one line when it is none, or names leave it."""
    if path.is_dir():
        files = (file.relative_to(path).as_posix() for file in path.rglob("*"))
        yield _from_folders(path, files, lambda name: _file(path / name))
    elif path.suffix.lower() == ".zip":
        try:
            archive = zipfile.ZipFile(path)
        except Exception as error:  # zipfile raises whatever it stumbles over
            raise MmsrError(f"{path}: cannot read it as a zip ({_reason(error)})") from None
        with archive:
            members = _members(archive, path)
            yield _from_folders(path, members, lambda name: _member(archive, members[name], path))
    elif path.suffix.lower() == ".csv":
        yield _from_index(path)
    else:
        kinds = "a folder of class folders, a .zip of them, or a .csv of path,label[,split]"
        state = "is none of them" if path.exists() else "does not exist"
        raise MmsrError(f"{path}: a data set is {kinds}; this {state}")


def stratified(labels: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Rows of a share of every class, drawn with a seed, and all the other rows; both sorted.

    A class gives round(share × its images). Two draws of one seed are nested: the smaller share
    is part of the larger.
    """
    rng = np.random.default_rng(seed)
    taken = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        taken.append(rows[: round(share * len(rows))])
    chosen: Ints = np.sort(np.concatenate(taken))
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def labelled_rows(dataset: Dataset, share: float, seed: int) -> Ints:
    """Rows of `dataset.train`, a share of every class; MmsrError when that leaves one empty."""
    labels = dataset.train.labels
    chosen, _ = stratified(labels, share, seed)
    counts = np.bincount(labels[chosen], minlength=len(dataset.classes))
    if not counts.all():
        label = int(counts.argmin())
        raise MmsrError(
            f"{dataset.name}: {100 * share:g}% of the labels leave the class "
            f'"{dataset.classes[label]}" empty, which has {(labels == label).sum()} images to '
            "learn from; ask for more"
        )
    return chosen


def _from_folders(path: Path, files: Iterable[str], fetch: Callable[[str], bytes]) -> Dataset:
    names = sorted(name for name in files if _is_image(name))
    parts = {name: PurePosixPath(name).parts for name in names}
    # A zip of a folder has that folder at its top; train and test lie one level below.
    tops = {part[0] for part in parts.values()}
    inside = {part[1] for part in parts.values() if len(part) > 1}
    if len(tops) == 1 and not tops & {"train", *TESTS} and inside & {"train", *TESTS}:
        parts = {name: part[1:] for name, part in parts.items()}
    split = any(part[0] == "train" for part in parts.values())
    rows = []
    for name, part in parts.items():
        if split and part[0] not in ("train", *TESTS):
            continue
        if len(part) < 2 + split:
            raise MmsrError(f"{path}: {name} lies in no class folder")
        rows.append((name, part[split], "train" if not split or part[0] == "train" else "test"))
    return _dataset(path, rows, fetch)


def _from_index(path: Path) -> Dataset:
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            heads = list(lines.fieldnames or ())
            if not {"path", "label"} <= set(heads) <= {"path", "label", "split"}:
                raise MmsrError(f"{path}: its heads are {heads}, not path,label[,split]")
            for row in lines:
                where = f"{path}, line {lines.line_num}"
                name, label, split = row["path"], row["label"], row.get("split", "train")
                if not name or not label or None in row:
                    raise MmsrError(f"{where}: not a path and a label")
                if split not in ("train", "test"):
                    raise MmsrError(f'{where}: the split "{split}" is neither train nor test')
                _check_inside(name, where)
                rows.append((name, label, split))
    except OSError as error:
        raise MmsrError(f"{path}: cannot read it ({_reason(error)})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise MmsrError(f"{path}: not a .csv in UTF-8 ({error})") from None
    return _dataset(path, rows, lambda name: _file(path.parent / name))


def _dataset(
    path: Path, rows: Sequence[tuple[str, str, str]], fetch: Callable[[str], bytes]
) -> Dataset:
    """Rows (name, class, split) as a data set; every class has to be in the training split."""
    classes = tuple(sorted({label for _, label, _ in rows}))
    if len(classes) < 2:
        raise MmsrError(f"{path}: {len(classes)} classes of images; a protocol needs two or more")
    numbers = {label: number for number, label in enumerate(classes)}

    def images(split: str) -> Images:
        mine = [row for row in rows if row[2] == split]
        labels = np.array([numbers[label] for _, label, _ in mine], np.int64)
        return Images(fetch, tuple(name for name, _, _ in mine), labels)

    train, test = images("train"), images("test")
    held_out = len(test) == 0
    if held_out:
        chosen, others = stratified(train.labels, HELD_OUT, seed=0)
        train, test = train.pick(others), train.pick(chosen)
    counts = np.bincount(train.labels, minlength=len(classes))
    if missing := [name for name, n in zip(classes, counts, strict=True) if n == 0]:
        raise MmsrError(f'{path}: the class "{missing[0]}" has no image to learn from')
    if len(test) == 0:
        raise MmsrError(
            f"{path}: too few images to hold some out for a test; give a test split, or more"
        )
    return Dataset(path.name, classes, train, test, held_out)


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES


def _check_inside(name: str, where: object) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name:
        raise MmsrError(f"{where}: the path {name!r} leaves the data set")


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by name; MmsrError for a name that would leave the folder it lies in."""
    found = {}
    for member in archive.infolist():
        _check_inside(member.filename, path)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise MmsrError(f"{path}: {member.filename!r} is a link")
        if member.flag_bits & 1:
            raise MmsrError(f"{path}: {member.filename!r} is encrypted")
        if not member.is_dir():
            found[member.filename] = member
    return found


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    if member.file_size > LARGEST:
        raise ImageError(f"{path}: {member.filename} has {member.file_size} bytes, too many")
    try:
        return archive.read(member)
    except Exception as error:  # each decompressor has an error of its own
        raise ImageError(f"{path}: {member.filename} is damaged ({_reason(error)})") from None


def _file(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise ImageError(f"{path}: {path.stat().st_size} bytes are too many for an image")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot read it ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
