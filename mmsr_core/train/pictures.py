"""Unlabelled images to pretrain on: from a folder, a zip of images, or a store of tiles."""

import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ImageError, RecipeError
from mmsr_core.plugin.components import Pictures
from mmsr_core.runtime import image
from mmsr_core.train.data import Bytes, Report
from mmsr_core.train.prepare.store import STORE, UNFINISHED, Store

ROOM = 8 / 7
"""How much larger than a view a whole image is kept, as 256 pixels are for 224."""
LARGEST = 2**28
"""Bytes that one file in a zip may have."""
AHEAD = 64
"""Images that are decoded before they are needed."""

Read = Callable[[], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Held:
    """Images in memory: `array` (n,s,s,3) of 8 bits."""

    array: Bytes
    note: str

    @property
    def side(self) -> int:
        """Of every image, in pixels."""
        return int(self.array.shape[1])

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """The images of these numbers (k,), as (k,s,s,3)."""
        return self.array[rows]


@dataclass(frozen=True, eq=False)
class Stored:
    """The LR tiles of a store, which are what a router sees."""

    store: Store
    note: str

    @property
    def side(self) -> int:
        """Of every tile, in pixels."""
        return self.store.tile

    def __len__(self) -> int:
        return len(self.store)

    def read(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """The LR tiles of these numbers (k,), as (k,t,t,3)."""
        starts = np.cumsum([0, *(len(lr) for lr, _ in self.store.shards)])
        tiles = np.empty((len(rows), self.side, self.side, 3), np.uint8)
        found = np.searchsorted(starts, rows, side="right") - 1
        for shard in np.unique(found):
            mine = found == shard
            tiles[mine] = self.store.shards[shard][0][rows[mine] - starts[shard]]
        return tiles


def open_pictures(path: Path, report: Report, side: int, cut: int) -> Pictures:
    """The images at a path: a store's LR tiles; tiles of `cut` pixels; or whole ones if it is 0.

    Whole images are made square: the middle of each, reduced to at most 8/7 of `side` pixels.
    Where the images are split into train and test, those to test are left out. RecipeError when
    there are none, or when one is smaller than `cut` or `side`; ImageError for one that can't be
    read.
    """
    if (path / STORE).is_file() or (path / UNFINISHED).is_dir():
        store = Store.open(path)
        return Stored(store, f"LR tiles of the store {path.name}, scale {store.scale}")
    with _Found(path) as found:
        rows = _in_parallel(found.reads, partial(_square, side=side, cut=cut), report)
        parts = list(rows)
    if not cut:
        parts = _of_one_side(parts)
    return Held(np.concatenate(parts), f"{path.name}, {found.note}")


class _Found:
    """Every image below a path, to be read by name; a zip stays open meanwhile."""

    def __init__(self, path: Path) -> None:
        self._archive: zipfile.ZipFile | None = None
        if path.suffix.lower() == ".zip" and path.is_file():
            names = self._open(path)
            read: Callable[[str], npt.NDArray[np.float32]] = self._read_member
        else:
            try:
                files = image.find_images(path)
            except ImageError as error:
                raise RecipeError(str(error)) from None
            root = path if path.is_dir() else path.parent
            names = {file.relative_to(root).as_posix(): str(file) for file in files}
            read = _read_file
        chosen = _to_learn_from(names)
        self.note = f"{len(chosen)} images" + (", train" if len(chosen) < len(names) else "")
        self.reads: list[tuple[str, Read]] = [
            (name, partial(read, names[name])) for name in sorted(chosen)
        ]

    def _open(self, path: Path) -> dict[str, str]:
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise RecipeError(f"{path}: cannot read it as a zip ({error})") from None
        members = [member.filename for member in self._archive.infolist() if not member.is_dir()]
        names = {
            name: name
            for name in members
            if PurePosixPath(name).suffix.lower() in image.IMAGE_SUFFIXES
            and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
        }
        if not names:
            raise RecipeError(f"{path}: no image in this zip ({' '.join(image.IMAGE_SUFFIXES)})")
        return names

    def _read_member(self, name: str) -> npt.NDArray[np.float32]:
        assert self._archive is not None
        try:
            if self._archive.getinfo(name).file_size > LARGEST:
                raise ImageError(f"{name}: too large for an image")
            data = self._archive.read(name)
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except ImageError:
            raise
        except Exception as error:  # each decompressor has an error of its own
            raise ImageError(f"{name}: damaged ({' '.join(str(error).split())})") from None
        if picture is None:
            raise ImageError(f"{name}: not an image that can be decoded")
        return np.asarray(picture[..., ::-1] / np.float32(255), np.float32)

    def __enter__(self) -> "_Found":
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()


def _read_file(path: str) -> npt.NDArray[np.float32]:
    return image.read(Path(path)).rgb


def _to_learn_from(names: dict[str, str]) -> list[str]:
    """All names, but where a folder `train` lies beside `test`: those of `train`."""
    for level in (0, 1):
        tops = {name: PurePosixPath(name).parts[level : level + 1] for name in names}
        found = {part[0] for part in tops.values() if part}
        if "train" in found and found & {"test", "val", "validation"}:
            return [name for name, part in tops.items() if part == ("train",)]
    return list(names)


def _in_parallel(
    reads: list[tuple[str, Read]], made: Callable[[str, Read], Bytes], report: Report
) -> Iterator[Bytes]:
    """What `made` makes of every image, in their order, decoding a few ahead."""
    with ThreadPoolExecutor() as pool:
        coming = [pool.submit(made, name, read) for name, read in reads[:AHEAD]]
        for number in range(len(reads)):
            yield coming.pop(0).result()
            if number + AHEAD < len(reads):
                coming.append(pool.submit(made, *reads[number + AHEAD]))
            report("images", number + 1, len(reads))


def _square(name: str, read: Read, side: int, cut: int) -> Bytes:
    """An image as tiles, or one square (k,s,s,3)."""
    rgb = read()
    height, width = rgb.shape[:2]
    short, needed = min(height, width), cut or side
    if short < needed:
        what = f"tiles of {cut}" if cut else f"views of {side}"
        raise RecipeError(
            f"{name}: {width}x{height} pixels are too few for {what}; leave it out, or ask for less"
        )
    if cut:
        rows, columns = height // cut, width // cut
        grid = image.quantize(rgb[: rows * cut, : columns * cut])
        grid = grid.reshape(rows, cut, columns, cut, 3).swapaxes(1, 2)
        return np.ascontiguousarray(grid.reshape(-1, cut, cut, 3))
    return image.quantize(_middle(rgb, min(short, round(side * ROOM))))[None]


def _of_one_side(parts: list[Bytes]) -> list[Bytes]:
    """The same squares, all of the smallest one's side."""
    least = min(part.shape[1] for part in parts)
    return [
        part
        if part.shape[1] == least
        else image.quantize(_middle(part[0] / np.float32(255), least))[None]
        for part in parts
    ]


def _middle(rgb: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """The middle square of an image, antialiased to `side` pixels."""
    height, width = rgb.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = rgb[top : top + short, left : left + short]
    return square if short == side else image.resize(square, side, side)
