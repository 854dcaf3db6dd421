"""Where answers go: every source gets its target before any work, or none does."""

import os
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmsr_core.errors import ImageError, MmsrError
from mmsr_core.runtime.files.listing import Found, Listing

Existing = Literal["refuse", "overwrite", "resume"]
_FIELDS = ("stem", "suffix")


@dataclass(frozen=True)
class Task:
    """One image to upscale: where it is, where it goes, and where its route map goes."""

    source: Path
    target: Path
    map: Path | None = None

    def written(self) -> tuple[Path, ...]:
        """All that it makes."""
        return (self.target,) if self.map is None else (self.target, self.map)

    def is_finished(self) -> bool:
        """Whether all that it makes is there and no older than its source.

        What has its name is complete, since answers get their names last; so times say it all.
        """
        try:
            made = self.source.stat().st_mtime_ns
            return all(path.stat().st_mtime_ns >= made for path in self.written())
        except OSError:
            return False


@dataclass(frozen=True)
class Naming:
    """How answers are named: a `pattern` of `{stem}` and `{suffix}`, the source's without its dot,
    and what `suffix` makes of the source's suffix.

    `output` is a file where one file is upscaled and `output` has a suffix, otherwise a folder.
    MmsrError for a pattern that names nothing, or more than a file.
    """

    output: Path
    suffix: Callable[[str], str]
    pattern: str = "{stem}"
    map: Path | None = None

    def __post_init__(self) -> None:
        try:
            fields = [found[1:] for found in string.Formatter().parse(self.pattern)]
        except ValueError as error:
            raise MmsrError(f'--name "{self.pattern}": {error}') from None
        names = [name for name, *_ in fields if name is not None]
        plain = all(not spec and not conversion for _, spec, conversion in fields)
        if not plain or not set(names) <= set(_FIELDS) or not names:
            raise MmsrError(
                f'--name "{self.pattern}": made of {{stem}} and {{suffix}}, at least one'
            )
        if set(self.pattern) & set("/\\\0"):
            raise MmsrError(f'--name "{self.pattern}": names a file, not a folder')
        if self.pattern.startswith("."):
            raise MmsrError(f'--name "{self.pattern}": would hide every file')

    def is_file(self, listing: Listing) -> bool:
        """Whether `output` is the answer's own name."""
        return listing.one_file and self.output.suffix != "" and not self.output.is_dir()

    def place(self, found: Found) -> Path:
        """A source's place below the output folder."""
        stem, suffix = found.place.stem, found.place.suffix
        name = self.pattern.format(stem=stem, suffix=suffix.removeprefix("."))
        return found.place.with_name(name + self.suffix(suffix))


def plan_tasks(
    listing: Listing, naming: Naming, existing: Existing, check: Callable[[Task], None]
) -> tuple[list[Task], list[Task]]:
    """The tasks to do, and those that `resume` finds finished. ImageError before any work when
    two would write one file, one would write over an input, or, with `refuse`, over any file.

    `check` raises for a task whose answer can't be written.
    """
    tasks = [_task(found, listing, naming) for found in listing.found]
    writers: dict[Path, Task] = {}
    for task in tasks:
        for written in task.written():
            other = writers.setdefault(written, task)
            if other is not task:
                raise ImageError(
                    f"{other.source} and {task.source} would both be written to {written}; "
                    "name their common folder as the input, or use --name '{stem}-{suffix}'"
                )
        if task.map == task.target:
            raise ImageError(f"{task.map}: is the picture's place; choose another for --map")
    tasks = _without_answers(tasks, writers, existing)
    there: list[Path] = []
    for task in tasks:
        check(task)
        for written in task.written():
            if written.exists():
                there.append(written)
                if written.samefile(task.source):
                    raise ImageError(f"{written}: is the input itself; choose another output")
    if there and existing == "refuse":
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        raise ImageError(
            f"{there[0]}{more} already; --overwrite replaces what exists, "
            "--resume skips what is finished"
        )
    finished = [task for task in tasks if existing == "resume" and task.is_finished()]
    done = set(finished)
    return [task for task in tasks if task not in done], finished


def make_folders(tasks: Iterable[Task]) -> list[Path]:
    """Make the folders that tasks write to, and say which these are; ImageError if one can't be."""
    folders = dict.fromkeys(path.parent for task in tasks for path in task.written())
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{folder}: cannot make this folder ({error.strerror})") from None
    return list(folders)


def _task(found: Found, listing: Listing, naming: Naming) -> Task:
    place = naming.place(found)
    target = naming.output if naming.is_file(listing) else naming.output / place
    painted = naming.map
    if painted is not None and not listing.one_file:
        painted = (painted / place).with_suffix(".png")
    return Task(found.source, target, painted)


def _without_answers(
    tasks: list[Task], writers: dict[Path, Task], existing: Existing
) -> list[Task]:
    """The tasks whose source is no other's answer: a folder of both is taken up where it was left.

    ImageError where an input would be lost.
    """
    places = {os.path.realpath(path): path for path in writers}
    answers = {task for task in tasks if os.path.realpath(task.source) in places}
    for task in tasks:
        source = places.get(os.path.realpath(task.source))
        if source is not None and (existing != "resume" or writers[source] is task):
            raise ImageError(f"{source}: is the input itself; choose another output")
    return [task for task in tasks if task not in answers]
