"""What a node is sent to do: one image, from wherever it lies to wherever it goes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from mmsr_core.cluster.stores import fetch, is_url, name_of, put
from mmsr_core.errors import ImageError, MmsrError
from mmsr_core.runtime.files import Facts, Task
from mmsr_core.runtime.pipeline import Progress

Upscale = Callable[[Task, Progress], Facts]


@dataclass(frozen=True)
class Errand:
    """One image to upscale: URLs, or absolute paths that mean the same on every node."""

    source: str
    target: str
    map: str | None = None

    @classmethod
    def of(cls, task: Task) -> "Errand":
        """The errand that a task of this machine is to any node."""
        painted = None if task.map is None else str(task.map.absolute())
        return cls(str(task.source.absolute()), str(task.target.absolute()), painted)

    def written(self) -> tuple[str, ...]:
        """All that it makes."""
        return (self.target,) if self.map is None else (self.target, self.map)

    def is_far(self) -> bool:
        """Whether any of it lies at a URL."""
        return any(map(is_url, (self.source, *self.written())))


def carry_out(errand: Errand, upscale: Upscale, progress: Progress) -> dict[str, Any]:
    """Upscale one image; what lies at a URL goes through a folder that is gone afterwards.

    Its target appears last, whole or not at all. ImageError that names URLs, not that folder.
    """
    with TemporaryDirectory(prefix="mmsr-") as scratch:
        places = (errand.source, *errand.written())
        near = {
            url: Path(scratch, str(number), _named(url))
            for number, url in enumerate(places)
            if is_url(url)
        }
        for path in near.values():
            path.parent.mkdir()
        if errand.source in near:
            fetch(errand.source, near[errand.source])
        source, *written = (near.get(url, Path(url)) for url in places)
        try:
            facts = upscale(Task(source, *written), progress)
        except MmsrError as error:
            text = str(error)
            for url, path in near.items():
                text = text.replace(str(path), url)
            raise ImageError(text) from None
        for url in reversed(errand.written()):
            if url in near:
                put(near[url], url)
    return facts


def _named(url: str) -> str:
    """A name of no harm for a file, with the suffix by which its format is chosen."""
    return f"image{PurePosixPath(name_of(url)).suffix}"
