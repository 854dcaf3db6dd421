"""What `mmsr upscale` was asked for, as tasks: looked at before a model is opened."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmsr_core.cli.batch import Batch
from mmsr_core.errors import ImageError
from mmsr_core.runtime.atomic import sweep
from mmsr_core.runtime.files.listing import list_files
from mmsr_core.runtime.files.tasks import Existing, Naming, Task, make_folders, plan_tasks
from mmsr_core.runtime.image import IMAGE_SUFFIXES, WRITABLE_SUFFIXES, check_writable
from mmsr_core.runtime.image.formats import CODEC_SUFFIX
from mmsr_core.video import VIDEO_SUFFIXES, VIDEO_TARGETS, check_video

_LIST = Path("-")


def plan_batch(
    inputs: Sequence[Path],
    null: bool,
    output: Path,
    form: str | None,
    pattern: str,
    map_path: Path | None,
    overwrite: bool,
    resume: bool,
) -> Batch:
    """Find every input and give it its output; MmsrError before any work when that can't be.

    The folders are made, and what a killed run left half written in them is removed.
    """

    def suffix(source: str) -> str:
        if source.lower() in VIDEO_SUFFIXES:
            return source if source.lower() in VIDEO_TARGETS else ".mp4"
        if form is not None:
            return f".{form}"
        return source if source.lower() in WRITABLE_SUFFIXES else ".png"

    existing: Existing = "overwrite" if overwrite else "resume" if resume else "refuse"
    naming = Naming(output, suffix, pattern, map_path)
    listed = _list(null) if _LIST in inputs else None
    named = [path for path in inputs if path != _LIST]
    suffixes = (*IMAGE_SUFFIXES, CODEC_SUFFIX)
    listing = list_files(named, listed, suffixes, VIDEO_SUFFIXES, output)
    if form is not None and naming.is_file(listing) and _differs(output, form):
        raise ImageError(f"{output}: --format {form} makes .{form} files; name it so")
    tasks, finished = plan_tasks(listing, naming, existing, _check)
    for folder in make_folders([*tasks, *finished]):
        sweep(folder)
    return Batch(tasks, finished, listing.refused, resume)


def is_video(task: Task) -> bool:
    """Whether a task's source is taken for a video, by its name."""
    return task.source.suffix.lower() in VIDEO_SUFFIXES


def _differs(output: Path, form: str) -> bool:
    alike = {"jpeg": "jpg", "tif": "tiff"}
    suffix = output.suffix.lower().removeprefix(".")
    return alike.get(suffix, suffix) != form


def _check(task: Task) -> None:
    """MmsrError when what a task makes can't be written where it goes."""
    if not is_video(task):
        for path in task.written():
            check_writable(path)
        return
    if task.map is not None:
        raise ImageError(f"{task.source}: is a video, which has no --map; upscale it without")
    check_video(task.target)


def _list(null: bool) -> Iterable[str]:
    """The paths on standard input: one a line, or each ended by a NUL."""
    data = sys.stdin.buffer.read()
    lines = data.split(b"\0") if null else data.splitlines()
    return [os.fsdecode(line) for line in lines if line]
